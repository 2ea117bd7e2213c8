# `make help` lists what can be done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3  # on two processors: one more uses what the others wait for. Each starts servers of its own
.DEFAULT_GOAL := help

LOCK = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q

# What builds the project is locked too, but stands beside the environment and not in it
$(VENV)/.run: requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Waymark needs Python 3.11 or newer; set PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@rm -rf $(VENV)/build
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes --target $(VENV)/build -r requirements-build.lock
	PYTHONPATH=$(CURDIR)/$(VENV)/build $(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: help demo up test check fast coverage audit verify chaos guards simulate bench axe screenshots servers servers-down spam golden lock env reference diagram clean

help: ## list what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.run ## a demo company through the real services, then serve it (ONCE=1 ends after printing, RESET=1 starts anew)
	$(BIN)/waymark demo $(if $(ONCE),--once) $(if $(RESET),--reset)

up: $(VENV)/.run ## run every service in one process on SQLite
	$(BIN)/waymark up

test: $(VENV)/.dev ## every test; those on Kafka and PostgreSQL on real ones (REQUIRE_SERVERS=1 fails without)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

fast: $(VENV)/.dev ## the tests that need no server
	$(BIN)/pytest -m "not servers" $(ARGS)

chaos: $(VENV)/.dev ## faults on real servers, then one checker of every promise (CHAOS_MINUTES=5 CHAOS_SEED= ARGS=)
	$(BIN)/python -m tests.chaos $(ARGS)

guards: $(VENV)/.dev ## take each guard of the adversary's suite out of a copy: its tests must fail (ARGS="no --jobs 2": those named so)
	$(BIN)/python -m tests.adversary.guards $(ARGS)

coverage: $(VENV)/.dev ## how much of the cores their own tests run; fails below COVERAGE=90 percent
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore=tests/core/demo --ignore=tests/core/importing --cov --cov-fail-under=$(or $(COVERAGE),90) tests/core

audit: $(VENV)/.run ## known vulnerabilities of what is locked (fetches pip-audit into a place of its own)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/pip install -q --disable-pip-version-check "pip-audit>=2.9,<3"
	for lock in requirements.lock requirements-dev.lock requirements-build.lock; do $(VENV)/audit/bin/pip-audit --disable-pip --require-hashes -r $$lock || exit 1; done

verify: ## everything in its long form: a night on a quiet machine
	$(MAKE) check
	REQUIRE_SERVERS=1 $(MAKE) test
	YEAR_ACCOUNTS=2000 $(BIN)/pytest -q tests/journey/test_year.py
	CONSTANT_ACCOUNTS=300 $(BIN)/pytest -q tests/core/lifecycle/test_constant_behaviour.py
	ORDERS=5000 $(BIN)/pytest -q tests/core/lifecycle/test_order.py tests/core/notify/test_order.py tests/service/test_three_services.py
	$(MAKE) coverage
	$(MAKE) guards
	$(MAKE) simulate SEEDS=2000
	$(MAKE) demo ONCE=1
	CHAOS_MINUTES=120 $(MAKE) chaos
	$(MAKE) bench

check: $(VENV)/.dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

simulate: $(VENV)/.dev ## the product through simulated trouble, seed by seed in virtual time (SEEDS=200)
	PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),200)

axe: $(VENV)/.dev ## axe-core over every page of the console, phone and desk, light and dark (fetches it by npm; CHROMIUM=)
	npm install --silent --no-audit --no-fund --prefix $(VENV)/axe axe-core@4
	$(PYTHON) -m venv $(VENV)/axe/python
	$(VENV)/axe/python/bin/pip install -q --disable-pip-version-check "playwright>=1.50,<2"
	$(BIN)/python -m tests.axe $(VENV)/axe/python/bin/python $(VENV)/axe/node_modules/axe-core/axe.min.js

screenshots: $(VENV)/.dev ## the README's pictures anew, from a fresh demo (CHROMIUM=)
	$(PYTHON) -m venv $(VENV)/axe/python
	$(VENV)/axe/python/bin/pip install -q --disable-pip-version-check "playwright>=1.50,<2" "pillow>=11,<13"
	$(BIN)/python -m tests.screenshots $(VENV)/axe/python/bin/python

bench: $(VENV)/.dev ## the speed beside what a user would pick instead (QUICK=1, ROWS=lifecycle or a row, SEED=1)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(TINY),--tiny) $(if $(ROWS),--rows $(ROWS)) $(if $(SEED),--seed $(SEED))

spam: $(VENV)/.dev ## every shipped mail through SpamAssassin's local rules, each below 1.5 (needs spamassassin)
	$(BIN)/python -m tests.spam

golden: $(VENV)/.dev ## at a release: keep its databases for the tests of all later versions (tests/golden)
	$(BIN)/python -m tests.golden.make

diagram: $(VENV)/.run ## the stage machine of config/lifecycle.yaml as Mermaid text
	@$(BIN)/waymark diagram

reference: $(VENV)/.dev ## write the JSON Schemas and the generated parts of docs/reference anew
	$(BIN)/python -m tests.docs.reference

servers: $(VENV)/.dev ## start a real Kafka and PostgreSQL here, without containers
	$(BIN)/python -m deploy.servers up

servers-down: $(VENV)/.dev ## stop them
	$(BIN)/python -m deploy.servers down

env: ## generate .env with fresh secrets for docker compose
	sh deploy/make-env.sh

lock: ## lock the dependencies with hashes: to run, to develop, to build (needs uv)
	$(LOCK) -o requirements.lock pyproject.toml
	$(LOCK) -o requirements-dev.lock --extra dev pyproject.toml
	$(LOCK) -o requirements-build.lock --group build -c requirements-dev.lock

clean: ## remove what was generated, the demo's data too
	rm -rf $(VENV) .waymark .mypy_cache .ruff_cache .pytest_cache .hypothesis
