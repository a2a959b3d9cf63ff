# `make up` starts Hone, `make test` runs the whole suite. Everything is installed into .venv.
VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: up demo test lint format bench clean
.DEFAULT_GOAL := up

up: $(VENV)/.installed
	@$(BIN)/python manage.py up

demo: $(VENV)/.installed
	@$(BIN)/python manage.py demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports \
	  && $(BIN)/djlint templates --check --quiet && $(BIN)/djlint templates --lint --quiet

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/djlint templates --reformat --quiet

clean:
	@rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null \
	  || { echo "Hone needs Python 3.11 or newer: install it, or name it with 'make up PYTHON=/path/to/python3.11'." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
	  || { echo "Python's venv module is missing: install it (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }

# torch goes first and by its exact version, so that pip never looks for a newer one.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (a few minutes the first time)"
	@$(BIN)/pip install -q torch==2.13.0
	@$(BIN)/pip install -q -c constraints.txt -e '.[jobs,web,embedded]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/pip install -q -c constraints.txt -e '.[all]'
	@touch $@
