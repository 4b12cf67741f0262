# What people and CI run. `make` alone lists the targets; each one sets up what it needs first.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check test bench lock clean

PYTHON ?= python3
# Installs the locked packages; itself pinned here.
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the locked packages and .venv/bin/ras

# Remade only when a dependency changes; the stamp is written last, so an interrupted setup is done again.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null \
		|| { echo "$(PYTHON) is not installed: install Python 3.11 or newer, or name it: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "RAS needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V`. Name another: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null \
		|| $(PYTHON) -m venv `$(BIN)/python -c '' 2>/dev/null || echo --clear` .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Play a few hundred batches through embedded servers and check every result
	$(BIN)/ras demo

check: $(READY) ## Lint, formatting, types, import rules: seconds
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## Everything in check, then all tests (RAS_TEST_REQUIRE=kafka: fail where there is no real broker)
	$(BIN)/pytest

bench: $(READY) ## Measure against the targets; minutes
	$(BIN)/python -m benchmarks.all

lock: $(READY) ## Pin the packages anew after a change in pyproject.toml: all, and what the image needs
	$(COMPILE) --all-extras pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra tracing --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock

clean: ## Remove the environment, caches and build output (the data in .ras stays)
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
