# What people and CI run. `make` alone lists the targets; each one sets up what it needs first.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check test-fast test bench lock clean

PYTHON ?= python3
# Installs the locked packages; itself pinned here.
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
UV := $(BIN)/uv
# Each worker has servers of its own. A file's tests stay with one worker, because they share a database.
PARALLEL := --dist loadfile --no-loadscope-reorder
FAST_TESTS := $(addprefix tests/,domain application projections properties golden)
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header

# Where this is set, every process compiles what it imports: a third of the time that the fast tests take.
export PYTHONDONTWRITEBYTECODE :=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

check: $(READY) ## Lint, formatting, types, import rules and the tests that need no server: under a minute
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	@$(MAKE) --no-print-directory test-fast

test-fast: $(READY) ## The tests that need no server that you would have to install, with fewer examples
	$(BIN)/pytest -q -n 2 --dist worksteal --hypothesis-profile fast $(FAST_TESTS)

test: check ## Everything in check, then all tests (RAS_TEST_REQUIRE=kafka: fail where there is no real broker)
	$(BIN)/pytest -n auto $(PARALLEL)

bench: $(READY) ## Measure against the targets; minutes
	$(BIN)/python -m benchmarks.all

lock: $(READY) ## Pin the packages anew after a change in pyproject.toml: all, and what the image needs
	$(COMPILE) --all-extras pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra tracing --constraint requirements.lock pyproject.toml --output-file requirements-runtime.lock

clean: ## Remove the environment, caches and build output (the data in .ras stays)
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
