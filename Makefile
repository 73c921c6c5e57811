# Two commands are enough to start: `make demo` and `make test`. Both need Python 3.11-3.13 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SCHEMA := ablations/study.schema.json

.PHONY: help setup demo test lint docs smoke bench lock clean
.DELETE_ON_ERROR:

help:
	@echo "make setup   install into $(VENV)/, write the schema that editors check studies with"
	@echo "make demo    set up, train the mask-gate study on the phantom, write report/"
	@echo "make test    set up, lint, type-check, test, build the documentation, and run every study on a tiny subset"
	@echo "make lint    set up, lint and type-check"
	@echo "make docs    set up, write the documentation as a site to build/docs/"
	@echo "make bench   measure the speed, and that of the plain alternatives"
	@echo "make lock    update the pinned dependencies (needs uv)"
	@echo "make clean   remove build products and caches of tools"

setup: $(VENV)/.ready $(SCHEMA)

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "bench needs Python 3.11, 3.12 or 3.13; found " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies (about two minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What a study may say follows from the settings, so this follows the code.
$(SCHEMA): $(VENV)/.ready $(wildcard bench/metrics/*.py bench/study/*.* bench/study/*/*.* bench/systems/*.py bench/systems/*/*.*)
	$(BIN)/bench schema > $@

demo: setup
	$(BIN)/bench run ablations/mask_gate.yaml
	$(BIN)/bench report --out report/

test: setup lint docs
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25
	$(MAKE) --no-print-directory smoke

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(BIN)/python -m sphinx -W --keep-going -q -E docs build/docs

# What a user does: run every shipped study on a tiny subset, report them, and run one again, which
# must train nothing.
SMOKE := --profile smoke --results build/smoke/results --cache build/smoke/cache
smoke: setup
	rm -rf build/smoke && mkdir -p build/smoke
	$(BIN)/bench run ablations/*.yaml $(SMOKE)
	$(BIN)/bench report --results build/smoke/results --study smoke --study tables --study ledger --study tuned_gate --out build/smoke/report
	$(BIN)/bench run ablations/smoke.yaml $(SMOKE) | grep "Nothing to train"
	$(BIN)/bench status --results build/smoke/results

# One script per claim; results go to benchmarks/results/, and all of them onto one page. A script
# that fails keeps its last results and stops the rest.
BENCHMARKS := annotations plan report extraction step study verdict overhead sharing scale memory gpu
bench: setup
	for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/study.py --only baseline paper_scale --precision bfloat16
	$(BIN)/python benchmarks/measured.py

lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 pyproject.toml --extra lite --extra onnx --extra jax --group dev -o requirements.lock

clean:
	rm -rf $(SCHEMA) build .mypy_cache .ruff_cache .pytest_cache *.egg-info
