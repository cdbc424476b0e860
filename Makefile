.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The demo keeps everything in this folder; commands run from here find it by themselves.
DEMO_HOME := $(CURDIR)/.stope

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv with the stope program in .venv/bin

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

models: setup  ## fetch and verify the default model weights
	$(BIN)/stope models pull

demo: setup  ## the whole pipeline on examples/interview.opus; the second time it is cached
	@time STOPE_HOME=$(DEMO_HOME) $(BIN)/stope run examples/interview.opus

test: setup  ## the whole test suite
	$(BIN)/stope models pull tiny.en voicefilter-embedder all-minilm-l6-v2 qwen2.5-coder-0.5b-instruct
	$(BIN)/python -m pytest

test-torchvision: setup  ## a data set read by torchvision (Debian: python3-torchvision, 650 MB)
	$(BIN)/python -m pytest tests/loaders/image_folder.py

eval: setup  ## how true the results are on the example dialogues, into docs/quality.md
	$(BIN)/stope models pull
	$(BIN)/python -m benchmarks.eval --write docs/quality.md

bench: setup  ## what it costs, as ratios (about 40 minutes, idle machine), into docs/performance.md
	$(BIN)/stope models pull
	$(BIN)/python -m benchmarks.bench --write docs/performance.md

chaos: setup  ## a thousand faults and what they cost (about 30 minutes), into docs/durability.md
	$(BIN)/python -m benchmarks.chaos --seed 1 --faults 1000 --write docs/durability.md

check: setup  ## format, lint, types, import arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## resolve the dependencies anew into requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-header --all-extras --upgrade pyproject.toml -o requirements.lock

clean:  ## remove .venv and caches; keeps .stope and the models
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help setup models demo test test-torchvision eval bench chaos check format lock clean
