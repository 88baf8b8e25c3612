# `make` lists the targets. ARGS="..." goes to the program that a target runs; PYTHON=... chooses the Python of .venv.

BIN := .venv/bin
SETUP := @scripts/setup
export PYTHON
# Many tests wait, for servers, leases and browsers. Each process that runs them loads the model (4 GB).
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test coverage lint format lock train bench turns crowd faults experiments comparisons protocol setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## set up once, then serve http://127.0.0.1:8000
	@exec $(BIN)/assistant serve $(ARGS)

setup: ## only set up what `make run` needs
	$(SETUP) run

test: ## set up what the tests need, then run every check and test
	$(SETUP) test
	@$(MAKE) --no-print-directory lint
	scripts/setup npm test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

coverage: ## count which branches of vlbm its tests take; at least 90 % are wanted
	$(SETUP) test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/vlbm --cov=vlbm --cov-branch --cov-fail-under=90 --timeout=600 $(ARGS)

lint: ## ruff, mypy, import-linter
	$(SETUP) lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: ## let ruff fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## write the lock files anew; ARGS=--upgrade takes the newest versions
	$(SETUP) lock $(ARGS)

train: setup ## train the packaged adapter
	$(BIN)/vlbm train packaged $(ARGS)

bench: setup ## measure the engine beside its peers and write benchmarks/results.md
	$(BIN)/python -m benchmarks.engine $(ARGS)

turns: setup ## time turns through the websocket
	$(BIN)/python benchmarks/turn.py $(ARGS)

crowd: setup ## measure many and slow clients and write benchmarks/crowd.md
	$(BIN)/python -m benchmarks.crowd $(ARGS)

faults: ## kill parts of the service hundreds of times and write docs/faults.md (half an hour)
	$(SETUP) test
	$(BIN)/python -m tests.faults.report $(ARGS)

experiments: ## prove every fusion on ambiguous words and write docs/experiments.md
	$(SETUP) test
	$(BIN)/python benchmarks/experiments.py $(ARGS)

comparisons: setup ## train the recipe with one thing changed at a time and write docs/comparisons.md
	$(BIN)/python benchmarks/comparisons.py $(ARGS)

protocol: setup ## write the protocol's schemas, TypeScript types and tables from its models
	$(BIN)/python scripts/protocol.py

clean: ## remove all that set-up and checks made
	rm -rf .venv .cache/setup .cache/testdata assistant/web/dist assistant/web/node_modules
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
