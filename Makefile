# Tenner: `make demo` and `make test` need python3 (3.11 or newer), make and a package index only.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps --no-compile
# A linter needs no database: settings only have to be readable.
NO_DATABASE := DATABASE_URL=postgresql://nobody@localhost/nothing
SERVE ?= 1
ONLY ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench run lock schemas clean

help:
	@echo "make demo    set up, run the main job on real input, then serve it (SERVE=0 ends after it)"
	@echo "make test    set up and run the whole test suite (ARGS=... are handed to pytest)"
	@echo "make lint    style, types, structure, missing migrations, stale schema snapshots"
	@echo "make bench   the benchmarks, peers in the same run (ONLY=name runs one)"
	@echo "make run     serve what is there"
	@echo "make format  put the code into the house style"
	@echo "make lock    compile the requirements, with hashes"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The stamps hold what was installed, so that a change of the requirements installs again.
$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Tenner runs on ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what checking Tenner needs ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

demo: $(VENV)/.installed
	$(RUN) manage.py demo $(if $(filter 0,$(SERVE)),--no-serve) $(ARGS)

run: $(VENV)/.installed
	$(RUN) manage.py migrate --verbosity 0
	$(RUN) -m gunicorn api.wsgi --bind 127.0.0.1:8000 --workers 2 --no-control-socket

test: $(VENV)/.installed-dev
	TENNER_THROWAWAY=1 TENNER_DATA="$${TENNER_DATA:-.tenner/tests}" $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(NO_DATABASE) $(VENV)/bin/lint-imports --config pyproject.toml
	$(NO_DATABASE) $(VENV)/bin/mypy
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) manage.py schemas --check

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(VENV)/.installed-dev
	$(RUN) -m benchmarks $(if $(ONLY),--only $(ONLY))

schemas: $(VENV)/.installed-dev
	$(RUN) manage.py schemas

# Names no index and no path: what is compiled here installs anywhere.
LOCK := $(VENV)-lock/bin/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip --quiet install pip-tools
	$(LOCK) --output-file requirements.txt requirements.in
	$(LOCK) --output-file requirements-dev.txt requirements-dev.in

clean:
	rm -rf $(VENV) $(VENV)-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis var
