# The project's commands. Both `demo` and `test` work on a fresh clone: they make .venv and install what they need.
.PHONY: bench test-schema test-databases test-engines demo test setup setup-test postgres ceph lint types docs clean
BIN := .venv/bin
# A file of tests after the other in each of three processes: most of what they do is waiting for engines and services to start and stop.
PYTEST := $(BIN)/python -m pytest -q -n 3 --dist loadfile
INSTALL := $(shell command -v uv >/dev/null 2>&1 && echo "uv pip install -q --python $(BIN)/python" || echo "$(BIN)/python -m pip install -q --disable-pip-version-check")

demo: setup            ## start engine and control plane, move real files, compare, stop
	$(BIN)/python demo.py

test: setup-test lint types   ## everything that must hold before a change lands
	$(PYTEST)

# `make test` kills services, and tries rules that no database has a part in, on SQLite only; this runs all of the service's tests on both databases.
test-databases: setup-test
	NEURO_TEST_DATABASES=sqlite,postgresql $(PYTEST) tests/service

# What takes too long for every change, run at those of a store or a provider: Ceph, and moto without its IAM.
test-engines: setup-test ceph
	$(BIN)/python -m pytest -q --timeout 300 tests/engines_apt

ceph:
	@{ command -v radosgw && command -v ceph-mon && command -v ceph-osd; } >/dev/null || { apt-get update -q \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ceph-mon ceph-osd ceph-common radosgw; }

# `make test` sends about 2,000 requests; this sends 20,000, in six to twelve minutes. NEURO_TEST_SEED=number repeats a run.
test-schema: setup-test
	NEURO_TEST_REQUESTS=20000 $(BIN)/python -m pytest -q -s tests/service/test_openapi.py

setup: .venv/service.stamp

# What comes by pip beside what comes by apt and npm: each waits for the network and for one core.
setup-test:
	@$(MAKE) --no-print-directory -j2 .venv/test.stamp .engines/azurite.stamp

# The tests start a server of their own; the package is kept from making, and starting, one for the machine.
NO_CLUSTER := /etc/postgresql-common/createcluster.d/only-for-tests.conf
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] \
	  || { echo "the tests need PostgreSQL's server: apt-get install postgresql" >&2; exit 0; }; \
	  mkdir -p $(dir $(NO_CLUSTER)) && echo "create_main_cluster = false" >$(NO_CLUSTER) \
	  && apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql; \
	  status=$$?; rm -f $(NO_CLUSTER); exit $$status; }

# Azurite, which stands in for Azure Blob Storage.
AZURITE := azurite@3.37.0
.engines/azurite.stamp: | postgres
	@command -v npm >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends npm; }
	npm install --silent --no-audit --no-fund --prefix $(dir $@) $(AZURITE) && touch $@

lint: setup-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: setup-test
	$(BIN)/mypy

bench: setup postgres  ## the same work with ours and with every peer; ARGS="--scale 0.1 --rounds 1" for a short run
	@command -v openssl >/dev/null && echo '#include <openssl/ssl.h>' | cc -E - >/dev/null 2>&1 \
	  || { apt-get update -q && apt-get install -qy gcc libc6-dev libssl-dev openssl; }
	$(if $(ARGS),,$(BIN)/python -m bench.growth)
	$(if $(ARGS),,$(BIN)/python -m bench.control_plane --layers)
	$(BIN)/python -m bench $(ARGS)

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
