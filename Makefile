# Punchcard. `make help` lists what there is; `make run` and `make test` are all a newcomer needs.

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
OWN := libs/kernel libs/chassis services/accounts services/catalog services/cart services/payments services/credits \
       services/support services/notifications gateway punchcard
SERVICES := accounts catalog cart payments credits support notifications gateway
SCALE = $(foreach s,$(SERVICES),$(if $($(s)),--scale $(s)=$($(s))))
MYPY_PACKAGES := $(foreach d,$(OWN),$(d)/$(notdir $(d)))

.DEFAULT_GOAL := help
.PHONY: help run demo mails services test lint format contracts bench requirements soak faults clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.runtime ## the whole store in one process on http://127.0.0.1:8000 (PORT=... for another port)
	@PORT=$(PORT) exec $(BIN)/punchcard run

demo: $(VENV)/.runtime ## in a second terminal: a customer buys a card for somebody else, a reseller buys for two customers
	@$(BIN)/punchcard demo

mails: $(VENV)/.runtime ## every mail that the store sends as files one can open, in .run/mails
	@$(BIN)/punchcard mails

services: $(VENV)/.dev ## the store as processes on RabbitMQ and PostgreSQL (payments=3 runs three of payments)
	@PORT=$(PORT) exec $(BIN)/punchcard services $(SCALE) $(if $(RESTART_AFTER),--restart-after $(RESTART_AFTER))

test: $(VENV)/.dev lint ## everything: lint, unit, contract and integration tests, journeys; installs what it needs (WORKERS=1 one at a time)
	@$(BIN)/python -m chassis.local_servers --unless-docker
	@$(BIN)/pytest -n $(WORKERS)

lint: $(VENV)/.dev ## ruff, mypy, the forbidden imports, the contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(MYPY_PACKAGES)
	@$(BIN)/lint-imports
	@$(BIN)/punchcard contracts --check

format: $(VENV)/.dev ## let ruff mend what it can
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/ruff format -q .

soak: $(VENV)/.dev ## load while a random process is killed every 5 s, then the invariant (SECONDS=600 SEED=n)
	@$(BIN)/python -m chassis.local_servers
	@$(BIN)/python tests/soak.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

faults: $(VENV)/.dev ## every fault and the model test, long and with many seeds (SEEDS=10 SEED=n; ONLY=expression as for pytest -k)
	@$(BIN)/python -m chassis.local_servers
	@seed=$(or $(SEED),$$(shuf -i 1-999999 -n 1)); \
	FAULT_LONG=1 FAULT_SEEDS=$(or $(SEEDS),5) FAULT_SEED=$$seed MODEL_WALKS=200 MODEL_STEPS=40 MODEL_SEED=$$seed \
	  $(BIN)/pytest tests/faults tests/model $(if $(ONLY),-k '$(ONLY)')

contracts: $(VENV)/.dev ## write contracts/ from the code
	@$(BIN)/punchcard contracts

bench: $(VENV)/.dev ## first figures, side by side with stock nameko and raw py-amqp
	@$(BIN)/python -m chassis.local_servers
	@$(BIN)/python -m benchmarks

requirements: $(VENV)/.dev ## pin requirements/*.in again, with hashes and without addresses
	@for name in runtime dev; do \
	  $(BIN)/pip-compile -q --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	    --no-emit-trusted-host --no-emit-find-links --no-header -o requirements/$$name.txt requirements/$$name.in; done

clean: ## remove the virtual environment, caches and everything a local store has kept
	rm -rf $(VENV) .run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { \
	  echo "Punchcard needs Python 3.11 or newer; say which one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "No virtual environment could be made. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt $(addsuffix /pyproject.toml,$(OWN)) | $(VENV)/bin/python
	@echo "installing what the store needs …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
	  $(addprefix -e ,$(OWN))
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "installing what tests and tools need …"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
