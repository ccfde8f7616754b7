# Two commands: `make run` curates the packages of this Python environment, `make test` runs the tests.
# Both set up .venv/ on first use, from bare Python 3.11 with pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run test test-slow check clean

run: .venv/installed
	$(BIN)/codesieve run --out out/quickstart

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

.venv/installed: pyproject.toml requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements.lock --editable .
	$(BIN)/python -m jobs.kernels
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements.lock --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv out
