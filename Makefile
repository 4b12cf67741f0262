# What people and CI run. `make` alone lists the targets; each one sets up what it needs first.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo lint check test-fast test fuzz conformance bench curves screenshots lock clean

PYTHON ?= python3
# Installs the locked packages; itself pinned here.
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
UV := $(BIN)/uv
# uv by itself reads neither the system's certificates nor pip's configuration, and needs a cache that it can write.
# What the user has set for uv is left as it is.
UV_SETTINGS = \
	[ ! -e /etc/ssl/certs/ca-certificates.crt ] && [ ! -e /etc/pki/tls/certs/ca-bundle.crt ] && [ ! -d /System/Library ] \
		|| export UV_SYSTEM_CERTS="$${UV_SYSTEM_CERTS:-true}"; \
	pip_settings="$$($(BIN)/python -m pip config list 2>/dev/null)"; \
	of_pip() { printf '%s\n' "$$pip_settings" | sed -nE "s/^(:env:|global|install)\.$$1='(.*)'$$/\2/p" | head -n 1; }; \
	bundle="$${SSL_CERT_FILE:-$$(of_pip cert)}"; [ -z "$$bundle" ] || export SSL_CERT_FILE="$$bundle"; \
	index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$$(of_pip index-url)}}"; \
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	extra="$${UV_EXTRA_INDEX_URL:-$$(of_pip extra-index-url)}"; [ -z "$$extra" ] || export UV_EXTRA_INDEX_URL="$$extra"; \
	proxy="$${HTTPS_PROXY:-$${https_proxy:-$$(of_pip proxy)}}"; [ -z "$$proxy" ] || export HTTPS_PROXY="$$proxy"; \
	cache="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$${HOME:-/nonexistent}/.cache}/uv}"; \
	mkdir -p "$$cache" 2>/dev/null && [ -w "$$cache" ] || export UV_CACHE_DIR=$(CURDIR)/.venv/.uv-cache
# Each worker has servers of its own. A file's tests stay with one worker, because they share a database.
PARALLEL := --dist loadfile --no-loadscope-reorder
FAST_TESTS := $(addprefix tests/,domain application projections properties golden)
COMPILE = $(UV_SETTINGS); $(UV) pip compile --quiet --universal --generate-hashes --no-header

# Where this is set, every process compiles what it imports: a third of the time that the fast tests take.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the locked packages and .venv/bin/ras

# Updated in place when a dependency changes. The stamp is removed first and written last: where it is missing, set-up
# was interrupted, anything may be incomplete (pip and uv too), and the environment is created from scratch.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null \
		|| { echo "$(PYTHON) is not installed: install Python 3.11 or newer, or name it: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "RAS needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) -V`. Name another: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"; exit 1; }
	@test -f $(READY) || $(PYTHON) -m venv --clear .venv
	@rm -f $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing the packages of requirements.lock"
	@$(UV_SETTINGS); $(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock \
		|| { echo "uv could not install the packages; trying pip, which takes longer" >&2; \
			$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Play a few hundred batches through embedded servers and check every result
	$(BIN)/ras demo

lint: $(READY) ## Lint, formatting, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

check: lint test-fast ## Lint, and the tests that need no server: under a minute

test-fast: $(READY) ## The tests that need no server that you would have to install, with fewer examples
	$(BIN)/pytest -q -n 2 --dist worksteal --hypothesis-profile fast $(FAST_TESTS)

test: lint ## Lint, then all tests (RAS_TEST_REQUIRE=kafka: fail where there is no real broker)
	$(BIN)/pytest -n auto $(PARALLEL)

FUZZ ?= --messages 20000 --seed 1 --fields
fuzz: $(READY) ## Hostile messages through a whole RAS on PostgreSQL; minutes (FUZZ="--seed 7": other messages)
	$(BIN)/python -m tests.fuzz $(FUZZ)

CONFORMANCE ?= --examples 50 --seed 1
conformance: $(READY) ## Generated requests to both APIs, checked against OpenAPI; minutes (CONFORMANCE="--seed 7": others)
	$(BIN)/python -m tests.conformance $(CONFORMANCE)

bench: $(READY) ## Measure against the targets; minutes
	$(BIN)/python -m benchmarks.all

curves: $(READY) ## Measure what everything costs in stores of 0.1 to 10 million events, and draw it; half an hour to an hour, 25 GB
	$(BIN)/python -m benchmarks.curves --svg docs/images/growth.svg

screenshots: $(READY) ## Take a picture of every page into docs/images/ (needs Chromium)
	$(BIN)/python -m tests.screenshots

lock: $(READY) ## Pin the packages anew after a change in pyproject.toml: all, and what the image needs
	@$(COMPILE) --all-extras pyproject.toml --output-file requirements.lock
	@$(COMPILE) --extra tracing --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock

clean: ## Remove the environment, caches and build output (the data in .ras stays)
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
