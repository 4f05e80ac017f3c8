# Every habit of this project is one target; `make` alone lists them. CI and pre-commit call the same ones.
# pip's own variables choose the wheels: PIP_EXTRA_INDEX_URL for PyTorch's CPU or CUDA index, for instance.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow coverage lint types protos fuzz bench bench-training bench-serving bench-endurance bench-footprint images up smoke down purge backup restore upgrade test-compose ui clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.train ## train three models on handwritten digits, serve them, ask them
	$(BIN)/drivetrain demo

WORKERS := 2
# Folder by folder, so that a Ray that the tests of one share ends before those of the next: an idle one takes a tenth of a core.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev ## run the tests that take seconds each, in WORKERS processes (2)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev ## run the others: real jobs on real clusters of Ray, killed and gone on with, and whole commands
	$(PYTEST) -m slow $(ARGS)

coverage: $(VENV)/.dev ## run all tests, and tell the lines and branches that they did not take
	$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

lint: $(VENV)/.dev ## check style, format and that the stubs follow the protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/protos && mkdir -p build/protos/services/prediction/pb build/protos/services/training/pb
	@$(MAKE) --no-print-directory protos OUT=build/protos
	for service in prediction training; do \
	  diff -r -x __pycache__ -x __init__.py build/protos/services/$$service/pb services/$$service/pb || exit 1; done

types: $(VENV)/.dev ## check types, strictly, in code and tests
	$(BIN)/mypy pipelines services tests

OUT := .
PROTOC = PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc \
  --python_out=$(OUT) --grpc_python_out=$(OUT) --mypy_out=$(OUT) --mypy_grpc_out=$(OUT)
protos: $(VENV)/.dev ## generate the gRPC stubs from protos/
	$(PROTOC) -Iservices/prediction/pb=protos protos/open_inference.proto
	$(PROTOC) -Iservices/training/pb=protos protos/training.proto

fuzz: $(VENV)/.dev ## attack the prediction service for some minutes; ARGS="--seconds 600" for longer
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: bench-training bench-serving ## measure training and serving against their peers

bench-training: $(VENV)/.dev ## measure training against its peers, set up on demand; ARGS='--help' tells the choices
	$(BIN)/python -m tests.benchmarks.training $(ARGS)

bench-serving: $(VENV)/.dev ## measure serving against its peers, set up on demand; ARGS='--help' tells the choices
	$(BIN)/python -m tests.benchmarks.serving $(ARGS)

bench-endurance: $(VENV)/.dev ## ten minutes of much load, and a minute of too much, on each transport
	$(BIN)/python -m tests.benchmarks.endurance soak $(ARGS)
	$(BIN)/python -m tests.benchmarks.endurance overload $(ARGS)

bench-footprint: $(VENV)/.dev ## start-up, memory and size of the prediction service, installed by itself
	$(BIN)/python -m tests.benchmarks.footprint

images: ## build the container images
	docker compose build

up: ## build and start the whole stack in containers, and wait until it is healthy
	deploy/compose/up.sh

smoke: ## train a model on the running stack, ask it for predictions, look at MLflow
	deploy/compose/smoke.sh

down: ## stop the stack; keep its data
	docker compose --profile '*' down --remove-orphans

purge: ## remove the stack with all its data; asks first, unless CONFIRM=yes
	deploy/compose/purge.sh

backup: ## write the stack's runs, models and state of jobs to a file: FILE=..., by default in backups/
	deploy/compose/backup.sh $(FILE)

restore: ## put a backup in the place of the stack's data: FILE=...
	deploy/compose/restore.sh $(FILE)

upgrade: ## back up, then move the running stack to the version checked out here
	deploy/compose/upgrade.sh $(FILE)

test-compose: $(VENV)/.dev ## build and start a stack of its own, test it with faults, remove it; TESTS=... picks some
	deploy/compose/test.sh $(TESTS)

ui: $(VENV)/.train ## open MLflow's UI on the runs and models here
	$(BIN)/drivetrain ui

clean: ## remove the environment and caches; keep runs and models (.drivetrain)
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Drivetrain needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing Drivetrain into $(VENV): a few minutes the first time"
	$(INSTALL) -e '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "installing Drivetrain and its development tools into $(VENV): a few minutes the first time"
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.train
