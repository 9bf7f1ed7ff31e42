# Run all commands with `make` or `.venv/bin/python manage.py`. Both read the environment variables
# PORT, VAR_DIR, BROKERS=3, SECURE=1, EMBEDDED=wheels, DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS, CELERY_BROKER_URL.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?= whole checkout pages hot_product relay latency relays publish consumer healing streams control growth backlog outages predictions payments verify facts sales rebuild
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-input --require-hashes

.PHONY: help up reset test test-secure test-long simulate faults bench lab check package requirements
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/installed ## start the shop with all its parts; Ctrl-C stops it (BROKERS=3, SECURE=1, PORT=...)
	@$(BIN)/python manage.py up

demo-data: $(VENV)/installed ## fill analytics of the running shop with an invented month, for /control/sales/ (DAYS=30, SEED=1)
	@$(BIN)/python manage.py demo_data --days $(or $(DAYS),30) --seed $(or $(SEED),1)

reset: $(VENV)/installed ## delete all data and logs below var/
	@$(BIN)/python manage.py reset

test: $(VENV)/installed-dev ## run the tests with the real parts in four processes, with samples of the long tests
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder

test-secure: $(VENV)/installed-dev ## run the tests of orders through the shop with SECURE=1: passwords, TLS and access rules
	@SECURE=1 $(BIN)/python -m pytest tests/flows

test-long: $(VENV)/installed-dev ## run the long tests completely
	@LONG=all $(BIN)/python -m pytest -m long

simulate: $(VENV)/installed-dev ## simulate 100,000 runs of orders, stock and money on the model and 100 on PostgreSQL (SEED=...)
	@SIMULATE=all $(BIN)/python -m pytest tests/simulation/test_simulation.py

faults: $(VENV)/installed-dev ## inject all faults at all points with three brokers, about 25 minutes (SEED=...)
	@FAULTS=all $(BIN)/python -m pytest tests/faults

bench: $(VENV)/installed-dev ## run all benchmarks, more than an hour; BENCH="relay latency" selects some
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name --json || exit 1; done

lab: $(VENV)/installed-dev ## compare with the synchronous shop in nine scenarios, at most 15 minutes; the report is var/lab/report.html
	@$(BIN)/python -m benchmarks.lab

check: $(VENV)/installed-dev ## check format, lint, types, import rules, migrations, deployment, API schema, event schemas, language
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	PRODUCTION=1 ALLOWED_HOSTS=shop.example SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
		DATABASE_URL=postgres://shop:not-a-real-one@localhost/shop EMAIL_URL=smtp+tls://localhost:587 SMS_PROVIDER=none \
		PAYMENT_GATEWAY=stripe STRIPE_KEY=sk_check STRIPE_WEBHOOK_SECRET=whsec_check TRUSTED_PROXIES=1 \
		KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_USERNAME=shop KAFKA_SASL_PASSWORD=not-a-real-one \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/python manage.py event_schemas --check
	$(BIN)/python -m tests.language

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
