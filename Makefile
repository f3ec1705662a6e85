# Two commands for a new user: `make demo` and `make test`. Both make .venv first where it is missing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo story test test-slow lint format types docs linkcheck clean

.venv/installed: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	touch $@

demo: .venv/installed
	$(BIN)/pyrovae run digits-gaussian-mixture

# From an installed wheel, beside the sources and not from them: its experiments are data of the package.
story: .venv/installed
	rm -rf build/wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/wheel .
	cd build && PYTHONPATH=wheel ../$(BIN)/python -m pyrovae story

test: .venv/installed
	$(BIN)/python -m pytest -m "not slow" pyrovae tests

test-slow: .venv/installed
	$(BIN)/python -m pytest -m slow tests

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/installed
	$(BIN)/mypy pyrovae

# Also the extra `docs`: what the pages are made with.
.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test,docs]"
	touch $@

# Code on the pages is executed; what it gave is kept in build/jupyter-cache until the page changes.
SPHINX := $(BIN)/python -m sphinx -W --keep-going -d build/doctrees
docs: .venv/docs-installed
	$(SPHINX) -b html docs build/docs

# The links that lead elsewhere, apart: the build itself reads nothing from a network.
linkcheck: .venv/docs-installed
	$(SPHINX) -b linkcheck -D nb_execution_mode=off docs build/linkcheck

clean:
	rm -rf .venv build
