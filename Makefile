# One word for each thing a person does with this project.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
SCRIPTS := gateway/portal/scripts
DECISION := consent/decide.py,consent/provisions.py,consent/delegation.py,consent/ages.py,consent/horizon.py

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.venv/.runtime: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(STAMP): .venv/.runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# What browsers may run: the portal works without it, so a machine without npm does too.
$(SCRIPTS)/node_modules/.installed: $(SCRIPTS)/package-lock.json
	@if command -v npm >/dev/null; then cd $(SCRIPTS) && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/.installed; \
	else echo "npm is not there: the portal will do without scripts"; fi

install: .venv/.runtime $(SCRIPTS)/node_modules/.installed ## the virtual environment and scripts that running needs

demo: install ## build the pretend county under var/demo and serve it on http://127.0.0.1:8080
	$(BIN)/health-gateway demo

check-demo: install ## walk the whole road through the public doors, in a temporary county
	$(BIN)/health-gateway demo --check

test: $(STAMP) $(SCRIPTS)/node_modules/.installed lint ## everything: style, types, import directions, all tests on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP) ## ruff, mypy --strict, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## write the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crash: $(STAMP) ## the long kill tests
	$(BIN)/python -m pytest -m crash -o addopts="-q --strict-markers --import-mode=importlib"

decisions: $(STAMP) ## the consent decision table, each case as pass or fail
	$(BIN)/python -m tests.consent.table

eligibility: $(STAMP) ## the table of what may be recognised, each case as pass or fail
	$(BIN)/python -m tests.gateway.recognition.table

coverage-consent: $(STAMP) ## every branch of the consent decision, by its table and checks alone
	$(BIN)/coverage run --branch --include='$(DECISION)' -m tests.consent.checks
	$(BIN)/coverage report --show-missing --fail-under=100 --include='$(DECISION)'

mutants: $(STAMP) ## small changes of the consent decision, each of which a check must notice
	nice $(BIN)/python -m tests.consent.mutants

bench: .venv/.runtime ## measure reads, searches and filing beside the bare ceiling
	$(BIN)/health-gateway bench all

lock: $(STAMP) ## resolve the dependencies again (names, versions, hashes)
	$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.lock
	cd $(SCRIPTS) && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved

.PHONY: help install demo check-demo test lint format crash decisions eligibility coverage-consent mutants bench lock
