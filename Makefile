# Every verb sets up what it needs and reuses it the next time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup cli test lint test-fast test-engine test-packaging test-deploy test-readme clean

help: ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(READY) ## make the virtual environment (.venv)

cli: $(READY) ## the command audit-search, in .venv/bin
	@$(BIN)/audit-search --version

# A .venv of another place (a copied folder) or of a Python that is gone is made anew. Installing says nothing on stdout.
$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@$(BIN)/python -c 'import sys, os; sys.exit(os.path.realpath(sys.prefix) != os.path.realpath("$(VENV)"))' 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv does not work here: install it (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }; }
	@echo "Setting up $(VENV), once: about a minute" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable . >&2
	@touch $@

include demo.mk build.mk invoke.mk bench.mk bench-engine.mk

# The README's test runs `make test` in a clone, which must not begin all of it again.
test: lint test-fast $(if $(AUDIT_SEARCH_IN_README),,test-engine test-packaging test-deploy test-readme) ## everything that has to hold, as CI runs it

lint: $(READY) ## style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test-fast: $(READY) ## unit tests, and integration tests on the embedded engine
	@$(BIN)/pytest tests/unit tests/integration

test-engine: $(READY) ## the integration tests and more on a real OpenSearch node (needs Java and Maven)
	@$(BIN)/pytest tests/engine

test-packaging: tools-ready ## the template and what is built from it (needs Python 3.13)
	@$(BIN)/pytest tests/packaging

test-deploy: tools-ready ## the built template in a stand-in for AWS, deployed in many ways (FULL=1: in all; needs Python 3.13)
	@FULL="$(FULL)" $(BIN)/pytest tests/deploy

test-readme: $(READY) ## each command of the README, in a fresh clone
	@$(BIN)/pytest tests/readme

clean: ## remove everything that was made here
	@rm -rf $(VENV) .tools .cache .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
