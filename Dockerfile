FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
RUN pip install uv==0.13.9 && uv venv /opt/ras
WORKDIR /build
# The packages before the code: a change of code alone does not install them again.
COPY requirements-runtime.lock ./
RUN uv pip sync --python /opt/ras/bin/python --require-hashes requirements-runtime.lock
COPY pyproject.toml README.md requirements.lock ./
COPY domain domain
COPY application application
COPY projections projections
COPY infrastructure infrastructure
# requirements.lock pins the build tools as well, by hash.
RUN uv build --wheel --build-constraint requirements.lock --require-hashes --out-dir dist \
    && uv pip install --python /opt/ras/bin/python --no-deps dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/ras ras && chmod 0700 /var/lib/ras
COPY --from=build /opt/ras /opt/ras
ENV PATH="/opt/ras/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RAS_HOME=/var/lib/ras
WORKDIR /var/lib/ras
USER ras
ENTRYPOINT ["ras"]
CMD ["--help"]
