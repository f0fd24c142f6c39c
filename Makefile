# Every target does all of its own set-up from a fresh clone.
PYTHON  ?= python3
KILLS   ?= 200
N       ?= 10000000
SEED    ?= 1
# On two cores; tests wait a third of their time.
WORKERS ?= 3

VENV      := .venv
INSTALLED := $(VENV)/.installed
# Each worker starts servers of its own.
PYTEST    := $(VENV)/bin/pytest -n $(WORKERS)
export PYTHON
# The tests start hundreds of processes, each of which would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo docs test lint style types tests servers golden crash mutants bench bench-mysql bench-memory clean-room java programs

help: ## What there is to make
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

demo: $(INSTALLED) ## A real PostgreSQL, live changes, a kill, and the proof that nothing was lost
	$(VENV)/bin/tailrace demo

docs: $(INSTALLED) ## Write the pages of commands, settings and error codes anew, from the code
	$(VENV)/bin/python -m tailrace.reference docs

test: style java programs ## Everything that must be green: lint, and unit, contract, integration and crash tests
	@# mypy has one core at work for a minute at the first time: the tests take the others meanwhile.
	$(MAKE) --no-print-directory --jobs 2 types tests

lint: style types ## ruff and mypy

style: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(INSTALLED)
	$(VENV)/bin/mypy

tests: $(INSTALLED)
	@# A file's tests share what it has started. The long ones come first (testpaths): all workers end together.
	$(PYTEST) --dist loadfile --no-loadscope-reorder

servers: $(INSTALLED) java ## Fetch the PostgreSQL, MySQL, MariaDB and Kafka that the tests start
	$(VENV)/bin/python -m tests.servers

golden: $(INSTALLED) java programs ## Record anew what a real Debezium writes, on every version of PostgreSQL, MySQL and MariaDB
	$(VENV)/bin/python -m tests.golden

crash: $(INSTALLED) java ## The full crash matrix: make crash KILLS=200 SEED=1
	@# Of few files: a free worker takes over tests of a busy one.
	$(PYTEST) --dist worksteal tests/crash --kills $(KILLS) --seed $(SEED) --counts docs/crash.md

.PHONY: fuzz
fuzz: $(INSTALLED) ## Damaged binary logs by the million: make fuzz N=10000000 SEED=1; goes on where it was ended
	$(VENV)/bin/python -m tests.fuzz $(N) --seed $(SEED) --page docs/crash.md

mutants: $(INSTALLED) java ## Take one rule out at a time: a test must fail for each
	$(VENV)/bin/python -m tests.mutants

bench: $(INSTALLED) java ## The standard workload beside pg_recvlogical
	$(VENV)/bin/python -m bench

bench-mysql: $(INSTALLED) java ## The same from MySQL, beside mysqlbinlog and mysql-replication
	$(VENV)/bin/python -m bench.mysql

bench-memory: $(INSTALLED) java ## A transaction of a million rows, with the peak of memory
	$(VENV)/bin/python -m bench.memory

clean-room: ## make demo and make test in a fresh Debian bookworm (root only)
	scripts/clean-room demo test

java: # PostgreSQL and Kafka for the tests come through Maven, and Kafka runs on Java.
	@scripts/system-packages java maven

programs: # A clock that can be set wrong, a pooler in between, PostgreSQL's types from another house.
	@scripts/system-packages faketime pgbouncer postgis systemd

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("tailrace needs Python 3.11 or later and \
	$(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 …")'
	@scripts/system-packages venv
	@echo 'Installing into $(VENV): a few minutes at the first time …'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade 'pip>=25.1'
	@# An editable install is what is wanted: setuptools warns of it in a box.
	PYTHONWARNINGS='ignore:Editable installation' $(VENV)/bin/pip install --quiet --editable '.[demo]' --group dev
	@touch $@
