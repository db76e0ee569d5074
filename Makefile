# Two commands for a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# Everything is installed into $(VENV); versions are pinned in constraints.txt.

VENV ?= .venv
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c '$(ENOUGH)' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
PYTEST_ARGS ?=
FUZZ ?= 30
PARALLEL := -n 2 --dist worksteal
IN_MEMORY := TMPDIR=$$(sh tests/quick_folder.sh)

.PHONY: demo test quick lint fuzz sbom advisories hashes bench bench-entries bench-smoke faults clean

demo: $(VENV)/.installed
	@$(BIN)/geotarget up --demo $(ARGS)

test: $(VENV)/.installed-dev
	@sh tests/system_packages.sh
	$(IN_MEMORY) $(BIN)/python -m pytest $(PARALLEL) --ignore tests/console $(PYTEST_ARGS)
	$(IN_MEMORY) $(BIN)/python -m pytest tests/console $(PYTEST_ARGS)

quick: $(VENV)/.installed-dev
	$(IN_MEMORY) $(BIN)/python -m pytest $(PARALLEL) -m "not slow and not e2e and not chromium" $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.installed-dev
	$(IN_MEMORY) GEOTARGET_FUZZ=$(FUZZ) $(BIN)/python -m pytest $(PARALLEL) -m "fuzz and not slow" \
	  --timeout 3600 $(PYTEST_ARGS)

sbom: $(VENV)/.installed
	$(BIN)/python .ci/supply.py sbom

advisories: $(VENV)/.installed
	$(BIN)/python .ci/supply.py audit

hashes: $(VENV)/.installed
	$(BIN)/python .ci/supply.py hashes

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/match.py
	$(BIN)/python benchmarks/cells.py --out benchmarks/results/cells.json
	$(BIN)/python benchmarks/join.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/pipeline.py
	$(BIN)/python benchmarks/process.py
	$(BIN)/python benchmarks/delivery.py
	$(BIN)/python benchmarks/durability.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/prices.py
	$(BIN)/python benchmarks/console.py
	$(BIN)/python benchmarks/decisions.py
	$(BIN)/python benchmarks/uplift.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/turns.py
	$(BIN)/python benchmarks/failover.py

bench-entries: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.entries

# Kills, full disks, bad receivers: about half an hour; writes the table of docs/faults.md.
faults: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.faults $(ARGS)

bench-smoke: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/match.py --smoke
	$(BIN)/python benchmarks/cells.py --smoke
	$(BIN)/python benchmarks/join.py --smoke
	$(BIN)/python benchmarks/pipeline.py --smoke
	$(BIN)/python benchmarks/delivery.py --smoke
	$(BIN)/python benchmarks/durability.py --smoke
	$(BIN)/python benchmarks/sizes.py --smoke
	$(BIN)/python benchmarks/console.py --smoke
	$(BIN)/python benchmarks/decisions.py --smoke
	$(BIN)/python benchmarks/uplift.py --smoke
	$(BIN)/python -m benchmarks.entries --smoke

$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(ENOUGH)' \
	  || { echo "geotarget needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing geotarget (pinned versions; a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@echo "Installing what the benchmarks need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
