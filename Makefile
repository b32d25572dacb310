# The project's commands. Both `demo` and `test` work on a fresh clone: they make .venv and install what they need.
.PHONY: demo test setup setup-test lint types docs clean
BIN := .venv/bin
INSTALL := $(shell command -v uv >/dev/null 2>&1 && echo "uv pip install -q --python $(BIN)/python" || echo "$(BIN)/python -m pip install -q --disable-pip-version-check")

demo: setup            ## start engine and control plane, move real files, compare, stop
	$(BIN)/python demo.py

test: setup-test lint types   ## everything that must hold before a change lands
	$(BIN)/python -m pytest -q

setup: .venv/service.stamp

setup-test: .venv/test.stamp

lint: setup-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: setup-test
	$(BIN)/mypy

docs: setup-test       ## the examples in README and docs are run as tests
	$(BIN)/python -m pytest -q tests/docs

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/bin/python:
	python3 -m venv .venv || { apt-get update -q && apt-get install -qy python3-venv && python3 -m venv .venv; }

.venv/service.stamp: pyproject.toml | .venv/bin/python
	$(INSTALL) -e '.[all]' && touch $@

.venv/test.stamp: pyproject.toml | .venv/bin/python
	$(INSTALL) -e '.[test]' && touch $@ .venv/service.stamp
