# Two commands to know: make demo, make test. Both work in a fresh clone with git, make and Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh

.PHONY: help demo test test-servers lint format bench clean

help:
	@echo "make demo    mail the sample list into ./outbox and show it"
	@echo "make test    install what the tests need and run them all"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make bench   measure speed and memory"

# The program with its pinned parts.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mailblast needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment in $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

# Beside it, what tests and linters need.
$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing test and lint packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[queue,bounces]' --group test --group lint
	@touch $@

demo: $(VENV)/installed
	@if test -d demo; then rm -rf demo outbox; fi
	@echo "Mailing sample_lists/welcome.csv through templates/welcome.html into ./outbox ..."
	@MAILBLAST_HOME=demo/state $(BIN)/mailblast bulk sample_lists/welcome.csv --template templates/welcome.html \
	  --via outbox:outbox --from 'Example <hello@example.com>'
	@echo
	@echo "One whole message for each row:"
	@ls outbox/new | sed 's/^/  outbox\/new\//' | head -20
	@echo
	@echo "Look at one:        less outbox/new/*"
	@echo "Your own list:      $(BIN)/mailblast init my-mailing"
	@echo "Through a server:   $(BIN)/mailblast bulk sample_lists/welcome.csv -t templates/welcome.html \\"
	@echo "                      --via smtp://user@host:587 --from you@your.domain   (password in SMTP_PASSWORD)"

# Servers from Debian that tests talk to: Postfix, Dovecot (its logins), OpenDKIM (a second opinion), Redis (queues).
# Without root they must be there already, else their tests are skipped.
DEBIAN := postfix dovecot-core opendkim redis-server
PROGRAMS := smtp-sink dovecot opendkim redis-server
# Servers from npm: Amazon SES with real Handlebars, Twilio's OpenAPI file as a server; and a rival for the bench.
NODE := $(VENV)/node
NPM := aws-ses-v2-local@2.10.2 @stoplight/prism-cli@5.14.2 nodemailer@10.6.1 nodemailer-9@npm:nodemailer@9.1.1

$(NODE)/installed: Makefile
	@if command -v npm >/dev/null 2>&1; then \
	  echo "Installing npm packages for the tests ..."; \
	  mkdir -p $(NODE) && npm install --prefix $(NODE) --no-save --no-audit --no-fund --loglevel=error $(NPM) >/dev/null \
	    && touch $@; \
	else echo "npm is not installed; its servers' tests will be skipped."; fi

test-servers: $(NODE)/installed
	@for program in $(PROGRAMS); do \
	  command -v $$program >/dev/null 2>&1 || test -x /usr/sbin/$$program || missing=1; \
	done; \
	test -z "$$missing" || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    echo "Installing $(DEBIAN) for the tests ..."; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEBIAN); } >/dev/null; \
	  else echo "Not all of $(DEBIAN) are installed; some tests will be skipped."; fi; }

test: $(VENV)/installed-dev test-servers
	@PYTHONDONTWRITEBYTECODE= NODE_PATH=$(CURDIR)/$(NODE)/node_modules $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev test-servers
	@NODE_PATH=$(CURDIR)/$(NODE)/node_modules $(BIN)/python -m pytest tests/benchmarks -m bench -q -s -p no:randomly --no-cov --timeout=600 $(ARGS)

clean:
	rm -rf $(VENV) demo outbox build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
