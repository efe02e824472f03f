# Everything starts from a fresh clone: targets make what they need. Python ≥ 3.11 and node are all that must be there.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,15))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
STAMPS := .stamps
RUNS ?= demo-runs
SERVE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint types unit integration browser panels docs bundle wheel hostile hostile-full sweep bench soak pictures clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- what the rest needs -----------------------------------------------------------------------------------------------

$(STAMPS)/python: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "attnlog needs Python 3.11 to 3.14: install one, or say make PYTHON=/path/to/python"; exit 1; }
	@echo "setting up .venv (torch, transformers, mlflow, comet_ml; a few minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3 -m venv failed: on Debian, apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/node: panels/package.json panels/package-lock.json
	@command -v npm >/dev/null || { echo "attnlog's viewer needs node 20 or later with npm: https://nodejs.org, or on Debian: apt install nodejs npm"; exit 1; }
	@echo "setting up panels/node_modules …"
	@cd panels && npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/bench: bench/package.json bench/package-lock.json
	@cd bench && npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/chromium:
	@sh scripts/chromium.sh
	@mkdir -p $(STAMPS) && touch $@

# --- the main job ------------------------------------------------------------------------------------------------------

demo: $(STAMPS)/python ## train the demo model, log its attention, look at it (SERVE=0 stops before serving)
	@HF_HUB_OFFLINE=1 $(BIN)/python examples/demo.py --runs $(RUNS)
ifneq ($(SERVE),0)
	@$(BIN)/attnlog view $(RUNS)
endif

# --- checks ------------------------------------------------------------------------------------------------------------

test: ## every check: lint, types, Python, panels, browser, docs, bundle, wheel
	@$(MAKE) --no-print-directory $(STAMPS)/python $(STAMPS)/node $(STAMPS)/chromium
	@$(BIN)/python scripts/checks.py

lint: $(STAMPS)/python ## ruff, and no file over 500 lines
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/python scripts/lengths.py

types: $(STAMPS)/python ## mypy strict, pyright basic
	@$(BIN)/mypy && $(BIN)/pyright

unit: $(STAMPS)/python ## Python tests without servers or browsers
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit

integration: $(STAMPS)/python $(STAMPS)/chromium ## real Trainer, MLflow and Comet client
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/integrations

browser: $(STAMPS)/python $(STAMPS)/chromium ## the viewer in real Chromium
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser tests/e2e

panels: $(STAMPS)/node ## the viewer's own checks
	@cd panels && npm run --silent check && npm test --silent

bundle: $(STAMPS)/node ## build the viewer into attnlog/view/static
	@cd panels && npm run --silent build

docs: $(STAMPS)/python ## build the documentation, strictly
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

wheel: $(STAMPS)/python ## build the wheel and try it in a venv of its own
	@$(BIN)/python -m pytest tests/wheel

hostile: $(STAMPS)/python $(STAMPS)/node ## both readers against assets and runs made to fool them
	@$(BIN)/python -m pytest -q tests/hostile

hostile-full: $(STAMPS)/python $(STAMPS)/node ## the hostile corpus with every flip and every number
	@ATTNLOG_HOSTILE=full $(BIN)/python -m pytest -q tests/hostile

sweep: $(STAMPS)/python ## capture a tiny model of nearly every transformers type and compare with eager attention; fills docs/architectures.md
	@mkdir -p build && OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.sweep.run --json build/sweep.json
	@$(BIN)/python -m tests.sweep.table build/sweep.json

bench: $(STAMPS)/python $(STAMPS)/chromium $(STAMPS)/bench ## measure size, time to disk, paint and capture beside BertViz and eager attention; prints JSON, fills the tables
	@mkdir -p build && $(BIN)/python bench/size.py | tee build/size.json && $(BIN)/python bench/write.py | tee build/write.json
	@$(BIN)/python bench/paint.py | tee build/paint.json
	@$(BIN)/python bench/capture.py | tee build/capture.json
	@$(BIN)/python bench/delivery.py | tee build/delivery.json
	@$(BIN)/python bench/figures.py build/size.json build/write.json build/paint.json build/capture.json build/delivery.json

soak: $(STAMPS)/python ## log 10 000 tiny steps to a local MLflow and look at memory, threads and open files
	@mkdir -p build && $(BIN)/python bench/steps.py | tee build/steps.json
	@$(BIN)/python bench/figures.py - - - - - build/steps.json

pictures: $(STAMPS)/python $(STAMPS)/chromium ## take the pictures of README and docs, one of each host, from the newest demo run
	@$(BIN)/python scripts/hosts/studio_pictures.py $(RUNS)
	@$(BIN)/python scripts/hosts/mlflow_pictures.py $(RUNS)
	@$(BIN)/python scripts/hosts/comet_pictures.py $(RUNS)

clean: ## remove what was set up and built (not runs)
	rm -rf .venv .stamps panels/node_modules bench/node_modules build dist site
