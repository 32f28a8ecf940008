# Everything a newcomer needs; `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
OUTPUT ?= demo
# Test processes at a time. A file of tests stays in one of them, since its tests may share a job that takes a while.
JOBS ?= 2
BIN = $(VENV)/bin
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ray_asng needs Python 3.11 or newer, $(PYTHON) is `$(PYTHON) -V`; name another: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

.PHONY: demo
demo: $(VENV)/.installed  ## Install, run the main job on the embedded data (4 minutes), say where everything is
	$(BIN)/ray-asng search --output $(OUTPUT) $(if $(wildcard $(OUTPUT)/job.json),--resume)

.PHONY: test
test: $(VENV)/.installed-dev  ## Install with the dev extra and run the tests, but for those marked slow
	$(PYTEST) -m "not slow and not gpu"

.PHONY: test-all
test-all: $(VENV)/.installed-dev  ## Run all tests, also those that take minutes
	$(PYTEST)

.PHONY: lint
lint: $(VENV)/.installed-dev  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: clean
clean:  ## Remove the environment and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
