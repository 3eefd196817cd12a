# Everything works on a fresh machine: the first target that needs it makes .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train test test-extras lint format tensorboard benchmark reproduce clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 21

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

train: $(VENV)/installed ## train once; more in ARGS="seed=1 trainer.accelerator=gpu"
	$(BIN)/python scripts/train.py $(ARGS)

test: $(VENV)/installed ## run the tests
	$(BIN)/pytest $(ARGS)

test-extras: $(VENV)/installed ## install the extras, and run the tests of what they bring
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,wandb,mlflow,search,joblib,submitit,ray,bench,parquet,images]'
	$(BIN)/pytest -m extra $(ARGS)

lint: $(VENV)/installed ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed ## put the code in its style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

tensorboard: $(VENV)/installed ## open the dashboard on logs/
	$(BIN)/tensorboard --logdir logs

benchmark: $(VENV)/installed ## time this template beside other loops, JAX and C; less in ARGS="--only steps"
	$(BIN)/python scripts/benchmark.py $(ARGS)

reproduce: $(VENV)/installed ## compute published figures: docs/reproductions.md; fewer in ARGS=--quick
	$(BIN)/python scripts/reproduce.py $(ARGS)

clean: ## remove .venv and caches; logs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
