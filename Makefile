# Everything runs in .venv, which the first target that needs it makes; nothing else is touched.
#
# A stamp file stands for a finished install. .venv/.installing exists while pip runs: where it is
# still there, an install was interrupted, pip might take half a package for a whole one, and so
# the environment is made anew.

PYTHON ?= python3
# Options for every pip call: for example --index-url, where pip's default index would bring
# torch with its CUDA packages instead of the CPU wheel.
PIP_FLAGS ?=
# Options for the command of bench and for pytest.
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq \
	--constraint constraints.txt $(PIP_FLAGS)
# The build backend is installed first, from its pin: an isolated build would fetch another one.
EDITABLE := $(PIP) --no-build-isolation --editable
# One exact version in the same call, so that pip never weighs another torch.
TORCH := $(shell grep '^torch==' constraints.txt)
BEGIN := touch .venv/.installing
END = rm .venv/.installing && touch $@

.DEFAULT_GOAL := help
.PHONY: help bench test check clean

help: ## Show the targets
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed 's/^\([a-z]*\): .*## /  make \1\t/'
	@printf '%s\n' '' 'Variables: PYTHON=python3.11  ARGS="options of the command"  PIP_FLAGS="..."'

bench: .venv/.core-installed ## Run the benchmark (core install, no torch); ARGS="..." to the command
	@$(BIN)/mmg bench $(ARGS)
	$(if $(strip $(ARGS)),,@$(BIN)/mmg bench --config agents)

test: .venv/.test-installed ## Run the tests; ARGS="..." to pytest
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: .venv/.dev-installed ## Lint, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean: ## Remove .venv and what tools and builds left behind
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

ifneq ($(wildcard .venv/.installing),)
.PHONY: .venv/.core-installed
endif

# The second way to make the environment is for a Python whose ensurepip is packaged apart.
.venv/.core-installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "mmg-env needs Python 3.11 or newer, and '$(PYTHON)' is not one:" \
			"name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if [ -e .venv/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		rm -rf .venv; \
		$(PYTHON) -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; \
			$(PYTHON) -m venv --without-pip .venv && \
			$(PYTHON) -m pip --python $(BIN)/python install -qq $(PIP_FLAGS) pip; }; \
	fi
	@echo "Installing mmg-env into .venv ..."
	@$(BEGIN)
	@$(PIP) hatchling editables
	@$(EDITABLE) .
	@$(END)

.venv/.test-installed: .venv/.core-installed
	@echo "Installing the test tools into .venv ..."
	@$(BEGIN)
	@$(EDITABLE) '.[test]' '$(TORCH)'
	@$(END)

.venv/.dev-installed: .venv/.test-installed
	@echo "Installing the linters into .venv ..."
	@$(BEGIN)
	@$(EDITABLE) '.[test,dev]' '$(TORCH)'
	@$(END)
