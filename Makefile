# The words that people and CI use. Everything installs into .venv; the locks hold exact versions with hashes, whole:
# with --no-deps pip has nothing to resolve, and no release of today can change what is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet

# What others make, each in an environment of its own (pyproject.toml says why).
OTHERS := azureml kserve mlserver

.PHONY: run test test-slow check conformance bench bench-peers overload format lock clean
.DEFAULT_GOAL := run

run: $(VENV)/.run  ## train on real data, convert with proof, package, serve, score: the main job
	$(BIN)/python -m modelport.benchmarks.main_job

test: $(VENV)/.dev $(VENV)/.azureml  ## the tests, but those that take minutes
	.ci/need test
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term $(ARGS)

test-slow: $(VENV)/.dev $(VENV)/.azureml  ## the tests that take minutes
	.ci/need test
	.ci/need slow
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=0 $(ARGS)

check: $(VENV)/.dev  ## lint, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(VENV)/.run $(OTHERS:%=$(VENV)/.%)  ## clients that others make, against a running server
	.ci/need conformance
	$(BIN)/python -m modelport.benchmarks.conformance

bench: $(VENV)/.run  ## what the runtime adds to the engine, in process and over HTTP
	$(BIN)/python -m modelport.benchmarks.overhead

bench-peers: $(VENV)/.run $(VENV)/.azureml $(VENV)/.mlserver  ## the same model behind other servers
	$(BIN)/python -m modelport.benchmarks.peers

overload: $(VENV)/.run  ## what is answered, and how late, when more comes than can be served
	$(BIN)/python -m modelport.benchmarks.overload

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/.dev  ## resolve anew; the scoring lock is what packages carry
	$(PIP) install uv
	$(COMPILE) --upgrade pyproject.toml --extra sklearn --group main-job -o locks/run.txt
	$(COMPILE) --upgrade pyproject.toml --extra sklearn --extra parquet --extra flask --extra otel --group dev -c locks/run.txt -o locks/dev.txt
	$(COMPILE) --upgrade pyproject.toml -c locks/run.txt -o packager/modelport/packager/scoring.lock
	for group in $(OTHERS); do $(COMPILE) --upgrade --group $$group -o locks/$$group.txt || exit 1; done

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(BIN)/python:
	.ci/need venv $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python locks/run.txt pyproject.toml
	$(PIP) install --no-deps --require-hashes -r locks/run.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run locks/dev.txt
	$(PIP) install --no-deps --require-hashes -r locks/dev.txt
	touch $@

$(OTHERS:%=$(VENV)/.%): $(VENV)/.%: $(BIN)/python locks/%.txt
	$(PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r locks/$*.txt
	touch $@
