# What can be done with a checkout. Everything that is needed is put into .venv first, from the lock files.

PORT ?= 8000
# The first of these that is new enough; the interpreter of .venv from then on.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && exit; done; echo python3)
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
# `manage.py check --deploy` looks at the settings of a real installation, which speaks HTTPS.
DEPLOYED := KARGOWEB_BASE_URL=https://kargoweb.example.com

.PHONY: help install run test test-postgres check format bench lock clean
.DELETE_ON_ERROR:

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

install: $(VENV)/.dev-installed  ## make .venv with everything for work on kargoweb

run: $(VENV)/.installed  ## start the demo: a Kargo installation in a box and kargoweb in front of it, on PORT
	PORT=$(PORT) $(PY) manage.py demo

test: $(VENV)/.dev-installed  ## run the test suite; ARGS are pytest's
	$(PY) -m pytest $(ARGS)

test-postgres: $(VENV)/.dev-installed  ## run it on PostgreSQL: DATABASE_URL's, or a server of its own
	$(PY) tools/postgres.py -- $(PY) -m pytest $(ARGS)

check: $(VENV)/.dev-installed  ## everything but the tests: format, lint, types, import directions, Django's own checks
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy .
	$(VENV)/bin/lint-imports --no-logo
	$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING
	$(PY) manage.py makemigrations --check --dry-run

format: $(VENV)/.dev-installed  ## format the code and mend what ruff can mend
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

bench: $(VENV)/.dev-installed  ## measure; ARGS are the benchmark's
	$(PY) -m bench $(ARGS)

lock: $(VENV)/.dev-installed  ## write the lock files anew from pyproject.toml; ARGS="--upgrade" for newer versions
	$(LOCK) $(ARGS) pyproject.toml --output-file requirements.lock
	$(LOCK) $(ARGS) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## remove .venv and all caches; var/, the demo's state, stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One line of stamps: the second installs onto the first, so that `run` needs little and neither undoes the other.
$(VENV)/.dev-installed: requirements-dev.lock $(VENV)/.installed
	$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

$(VENV)/.installed: requirements.lock $(VENV)/.made
	@echo "Installing kargoweb's dependencies into $(VENV) ..."
	$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "kargoweb needs Python 3.11 or newer, and $(PYTHON) is not; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
