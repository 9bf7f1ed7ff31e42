# Everything is run through here or through `.venv/bin/python manage.py`. Environment variables pass through:
# PORT, VAR_DIR, BROKERS=3, EMBEDDED=wheels, DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS, CELERY_BROKER_URL.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= whole checkout pages hot_product relay latency relays publish consumer growth backlog outages payments verify
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes

.PHONY: help up reset test test-long simulate faults bench check package requirements
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/installed ## start the shop and all that it needs; Ctrl-C stops it (BROKERS=3, EMBEDDED=wheels, PORT=...)
	@$(BIN)/python manage.py up

reset: $(VENV)/installed ## delete all data and logs below var/
	@$(BIN)/python manage.py reset

test: $(VENV)/installed-dev ## run the tests on the real parts, in two processes; of long campaigns it runs samples
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test-long: $(VENV)/installed-dev ## the long forms of races and campaigns, of which make test runs samples
	@LONG=all $(BIN)/python -m pytest -m long

simulate: $(VENV)/installed-dev ## 100,000 runs of orders, stock and money on the model, 100 on PostgreSQL (SEED=... draws others)
	@SIMULATE=all $(BIN)/python -m pytest tests/simulation/test_simulation.py

faults: $(VENV)/installed-dev ## every fault at every point, three brokers: about 25 minutes (SEED=... draws others)
	@FAULTS=all $(BIN)/python -m pytest tests/faults

bench: $(VENV)/installed-dev ## every benchmark, each with its table: about an hour (BENCH="relay latency" chooses)
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name --json || exit 1; done

check: $(VENV)/installed-dev ## format, lint, types, import rules, migrations, deployment, API schema, event schemas
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	PRODUCTION=1 ALLOWED_HOSTS=shop.example SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		PAYMENT_GATEWAY=stripe STRIPE_KEY=sk_check STRIPE_WEBHOOK_SECRET=whsec_check \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py event_schemas --check

package: $(VENV)/installed-dev ## build the outbox (relay/) as the package django-outbox-relay: a wheel and an sdist in dist/
	rm -f dist/django_outbox_relay-*
	$(BIN)/python -m build --no-isolation --outdir dist relay
	$(BIN)/python -m twine check --strict dist/django_outbox_relay-*

requirements: $(VENV)/installed-dev ## pin the newest versions that pyproject.toml allows, with hashes
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-header --no-emit-index-url \
		pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url \
		--constraint requirements.txt --extra dev pyproject.toml --output-file requirements-dev.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(BIN)/python
	$(INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt | $(BIN)/python
	$(INSTALL) --requirement requirements-dev.txt
	@touch $@
