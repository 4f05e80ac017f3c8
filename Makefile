# Every habit of this project is one target; `make` alone lists them. CI and pre-commit call the same ones.
# pip's own variables choose the wheels: PIP_EXTRA_INDEX_URL for PyTorch's CPU or CUDA index, for instance.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast lint types protos bench ui clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.train ## train three models on handwritten digits, serve them, ask them
	$(BIN)/drivetrain demo

test: $(VENV)/.dev ## run all tests
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-fast: $(VENV)/.dev ## run the tests that take seconds
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.dev ## check style, format and that the stubs follow the protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/protos && mkdir -p build/protos/services/prediction/pb
	@$(MAKE) --no-print-directory protos OUT=build/protos
	diff -r -x __pycache__ -x __init__.py build/protos/services/prediction/pb services/prediction/pb

types: $(VENV)/.dev ## check types, strictly, in code and tests
	$(BIN)/mypy pipelines services tests

OUT := .
protos: $(VENV)/.dev ## generate the gRPC stubs from protos/
	PATH=$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -Iservices/prediction/pb=protos \
	  --python_out=$(OUT) --grpc_python_out=$(OUT) --mypy_out=$(OUT) --mypy_grpc_out=$(OUT) \
	  protos/open_inference.proto

bench: $(VENV)/.dev ## measure training and serving against their peers
	$(BIN)/python -m tests.benchmarks.training
	$(BIN)/python -m tests.benchmarks.serving

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
