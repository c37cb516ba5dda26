# Development tasks. Each target first installs what it needs into .venv, from the lock files.

PORT ?= 8000
# The first interpreter that is new enough. It creates .venv, which is used from then on.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && exit; done; echo python3)
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
# Two worker processes per core, each with its own servers and databases. A file runs in one worker, which keeps the
# fixtures of its module; tests/conftest.py puts the slowest files first. ARGS=-n0 runs everything in one process.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
# `manage.py check --deploy` checks the settings of an installation behind HTTPS.
DEPLOYED := KARGOWEB_BASE_URL=https://kargoweb.example.com

.PHONY: help install run serve test test-e2e test-image test-postgres check format docs reference bench lock clean
.DELETE_ON_ERROR:

help:  ## show this help
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-14s %s\n' "$$name" "$$text"; done

install: $(VENV)/.dev-installed  ## create .venv with the development requirements

run: $(VENV)/.installed  ## start the demo: kargoweb on PORT with a simulated Kargo installation
	PORT=$(PORT) $(PY) manage.py demo

serve: export KARGOWEB_ROLE ?= dashboard
serve: export KARGOWEB_CATCH_UP_RATE ?= 0
serve: export KARGOWEB_DATA_DIR ?= $(CURDIR)/var/serve
serve: $(VENV)/.installed  ## look at the Kargo of the current kubeconfig context, without receiving pushes
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py users | grep -q '^admin ' || { echo "Your user and its password:"; \
		$(PY) manage.py users --add admin && $(PY) manage.py grant admin admin; }
	$(PY) manage.py serve

# Without compiled files, each worker would compile every test, and each start of kargoweb the whole of it.
test test-e2e test-image test-postgres: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.dev-installed  ## run the tests on all cores; ARGS are passed to pytest
	$(PY) -m pytest -m "not e2e and not image" $(PARALLEL) $(ARGS)

test-e2e: $(VENV)/.dev-installed  ## run the end-to-end tests: browsers, installations with other settings, restarts, outages
	$(PY) -m pytest -m e2e $(PARALLEL) $(ARGS)

test-image: $(VENV)/.dev-installed  ## build the container image without a container engine, and test it; needs root
	$(PY) -m pytest -m image -n0 $(ARGS)

test-postgres: $(VENV)/.dev-installed  ## run the tests that use the database on PostgreSQL: DATABASE_URL, or a private server
	$(PY) tools/postgres.py -- $(PY) -m pytest -m "database and not browser and not any_database" $(PARALLEL) $(ARGS)

check: $(VENV)/.dev-installed  ## run every check but the tests: format, lint, types, import layers, Django's checks, docs
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m djlint --check --quiet templates
	$(PY) -m mypy .
	$(VENV)/bin/lint-imports --no-logo
	$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) -m tools.site

format: $(VENV)/.dev-installed  ## format the code and apply ruff's fixes
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format
	$(PY) -m djlint --reformat --quiet templates || true  # exits with 1 if it has changed a file

docs: $(VENV)/.dev-installed  ## build the documentation site into site/; broken links are errors
	$(PY) -m tools.site

reference: $(VENV)/.dev-installed  ## update the tables and diagrams in docs/ that come from the code
	$(PY) -m tools.reference
	$(PY) -m tools.diagrams

bench: $(VENV)/.dev-installed  ## run the benchmarks
	$(PY) -m bench $(ARGS)

lock: $(VENV)/.dev-installed  ## update the lock files from pyproject.toml; ARGS=--upgrade for newer versions
	$(LOCK) $(ARGS) pyproject.toml --extra otel --output-file requirements.lock
	$(LOCK) $(ARGS) pyproject.toml --extra otel --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## remove .venv and all caches, but not var/, the state of the demo
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The development requirements are installed on top of the runtime ones, so `run` installs little and neither install
# undoes the other.
$(VENV)/.dev-installed: requirements-dev.lock $(VENV)/.installed
	$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@

$(VENV)/.installed: requirements.lock $(VENV)/.made
	@echo "Installing kargoweb's dependencies into $(VENV) ..."
	$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "kargoweb needs Python 3.11 or newer, and $(PYTHON) is not; set it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot create virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@
