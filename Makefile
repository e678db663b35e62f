# Targets for people; `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(STAMP): constraints.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $(STAMP)

demo: $(STAMP) ## install into .venv and run the whole main job on generated faces
	$(BIN)/fusionfer demo

test: $(STAMP) ## install into .venv and run the tests, on up to four cores
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: test ## the tests, then ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## print the speed ratios (needs ../shared/data for the real faces)
	$(BIN)/python -m benchmarks.speed

docs: $(STAMP) ## write docs/cli.md and docs/api.md from the code
	$(BIN)/python docs/make_reference.py

clean: ## remove the environment and what tools left
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
