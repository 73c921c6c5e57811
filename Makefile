# Two commands are enough to start: `make demo` and `make test`. Both need Python 3.11-3.13 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test lint smoke bench lock clean

help:
	@echo "make demo    set up, train the mask-gate study on the phantom, write report/"
	@echo "make test    set up, lint, type-check, test, and run the smoke study"
	@echo "make bench   measure speed beside the plain alternative"
	@echo "make lock    pin every dependency anew (needs uv)"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "bench needs Python 3.11, 3.12 or 3.13; found " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies (about two minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	$(BIN)/bench run ablations/mask_gate.yaml
	$(BIN)/bench report --out report/

test: setup lint
	$(BIN)/python -m pytest -n 2 --dist loadfile
	$(MAKE) --no-print-directory smoke

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# As a user would: every shipped study on a tiny subset, their report, and a study again, which must
# train nothing.
SMOKE := --profile smoke --results build/smoke/results --cache build/smoke/cache
smoke: setup
	rm -rf build/smoke && mkdir -p build/smoke
	$(BIN)/bench run ablations/*.yaml $(SMOKE)
	$(BIN)/bench report --results build/smoke/results --study smoke --study tables --study ledger --study tuned_gate --out build/smoke/report
	$(BIN)/bench run ablations/smoke.yaml $(SMOKE) | grep "Nothing to train"
	$(BIN)/bench status --results build/smoke/results

# One script a claim; what they measure goes to benchmarks/results/, and all of it onto one page.
# A script that fails leaves its last results and stops the rest.
BENCHMARKS := annotations plan report extraction step study overhead sharing scale gpu
bench: setup
	for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/study.py --only baseline paper_scale --precision bfloat16
	$(BIN)/python benchmarks/measured.py

lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 pyproject.toml --group dev -o requirements.lock

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache *.egg-info
