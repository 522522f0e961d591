# Every target sets up what it needs by itself; `make help` lists them.

PYTHON ?= python3
PYTHON312 ?= PYENV_VERSION=3.12 python3.12
VENV := .venv
BIN := $(VENV)/bin
SQL_FILES := dbt_project

.DEFAULT_GOAL := help
.PHONY: help up test check format lock soak test-crash bench focus system clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

up: $(VENV)/runtime ## Fill a first lake, build it, start the app (8501) and Dagster (3000)
	@exec $(BIN)/meterhouse up

test: $(VENV)/development ## Run the whole test suite
	$(BIN)/python -m pytest --ignore tests/e2e --numprocesses auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder --max-worker-restart 0
	$(BIN)/python -m pytest tests/e2e

check: $(VENV)/development ## Lint, types, SQL style, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --disable-progress-bar --processes 2 $(SQL_FILES)

format: $(VENV)/development ## Format Python and SQL
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar $(SQL_FILES)

soak: $(VENV)/development ## Load, refresh and read at once for two minutes
	METERHOUSE_SOAK_SECONDS=120 $(BIN)/python -m pytest -s tests/integration/test_concurrency.py \
		tests/e2e/test_live_balance.py

test-crash: $(VENV)/development ## Kill the sender of alerts and the close of a month 200 times each
	METERHOUSE_CRASH_KILLS=200 $(BIN)/python -m pytest -s tests/integration/test_alerts_crash.py
	METERHOUSE_CRASH_KILLS=200 $(BIN)/python -m pytest -s tests/integration/test_invoice_crash.py

bench: $(VENV)/development ## Measure against the bare engine and what one would pick instead
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.usage
	$(BIN)/python -m benchmarks.credits
	$(BIN)/python -m benchmarks.projection
	$(BIN)/python -m benchmarks.spikes
	$(BIN)/python -m benchmarks.budgets
	$(BIN)/python -m benchmarks.invoices
	$(BIN)/python -m benchmarks.pages

focus: $(VENV)/focus/ready ## Set FOCUS's own validator up, which the tests then run (needs Python 3.12)

system: ## Install what tests need of the system (Debian): Chromium and PostgreSQL
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium postgresql poppler-utils

lock: $(VENV)/development ## Resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --quiet pyproject.toml --extra postgres --extra test --extra dev --extra bench --extra build \
		--output-file requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --quiet pyproject.toml --extra postgres --extra build --constraint requirements-dev.lock \
		--output-file requirements.lock
	$(BIN)/uv pip compile --python-version 3.12 --generate-hashes --no-emit-index-url \
		--no-header --quiet requirements-focus.in --output-file requirements-focus.lock

clean: ## Remove the environment and what dbt wrote; the state in var stays
	rm -rf $(VENV) target logs

$(VENV)/runtime: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/development: requirements-dev.lock $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	touch $@

$(VENV)/focus/ready: requirements-focus.lock
	$(PYTHON312) -m venv $(VENV)/focus
	$(VENV)/focus/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-focus.lock
	touch $@
