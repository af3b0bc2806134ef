# make serve · make test · make coverage · make matrix · make full-matrix · make mutants · make hostile · make check · make bench · make clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
N ?= 40
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, 1 + os.cpu_count()))')

.PHONY: serve test coverage matrix full-matrix mutants hostile check bench clean

serve: $(VENV)/serve.stamp
	$(BIN)/mockserver serve $(ARGS)

# The tests start hundreds of Python processes. Those that read compiled modules take half the processor time to start,
# so they are written here even where the environment says PYTHONDONTWRITEBYTECODE, as many images of containers do.
test coverage matrix full-matrix hostile bench: export PYTHONDONTWRITEBYTECODE =

# worksteal mostly leaves the tests of a file to one process, which then makes their servers once. Many tests wait, so there
# is one process more than processors; not more than 8, since each takes half a gigabyte.
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not matrix" --durations=10 $(ARGS)

# the same tests, and which lines and branches they execute; they take nearly twice as long
coverage: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not matrix" --cov --cov-report=term:skip-covered $(ARGS)

# whole checks, long searches and comparisons: what make test has no time for
matrix: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m matrix --durations=10 $(ARGS)

# every planted defect and every variation by itself, where make matrix takes some: hours
full-matrix: $(VENV)/dev.stamp
	STANDIN_MATRIX=full $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/contracts/matrix tests/contracts/rules/test_scenarios.py $(ARGS)

# machine-made mutants of the stand-in: which of them a check finds
mutants: $(VENV)/dev.stamp
	$(BIN)/python -m tests.contracts.mutation.score --number $(N) $(ARGS)

# hostile clients for some minutes, where make test takes some seconds of them
hostile: $(VENV)/dev.stamp
	$(BIN)/python -m tests.hostile $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python -m tests.bench $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 ...")'
	@echo "Making a virtual environment in $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }  # Debian needs python3-venv; half a one would stay

$(VENV)/serve.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the mock and what it needs into $(VENV): some 20 seconds, and again only when pyproject.toml changes"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

# pip reads dependency groups from 25.1 on
$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the mock, the suite and what the tests need into $(VENV): a minute or two, and again only when pyproject.toml changes"
	@$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install -q -e '.[contracts,redis,valkey]' --group dev
	@touch $@ $(VENV)/serve.stamp

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
