# Every target sets up the environment that it needs, and reuses it on later runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Where it is set (container images often do), every process would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help up tune test test-dags test-container test-policies test-peers check preview review lock clean environment environment-airflow environment-container environment-policies environment-peers spark-classes

STAGE ?= dev
BASE ?= origin/main
PYTHON := .venv/bin/python
LAMBDAS := $(patsubst %/handler.py,%,$(wildcard lambdas/*/handler.py))

help: ## list the targets
	@echo "make up [STAGE=dev] [DATA=path] [SERVE=1] [ARGS='--user-column buyer']   run the whole platform on this machine, up to the first recommendations"
	@echo "make tune [DATA=path] [MINUTES=20] [STAGE=dev]   search hyperparameters on the validation split; continues on later runs"
	@echo "make test [ARGS='-k gate']                  run the tests"
	@echo "make test-dags                              run the tests of the Airflow DAG, in a separate environment"
	@echo "make test-container                         serve a model artifact with SageMaker's own serving stack"
	@echo "make test-policies                          run the policy pack as Pulumi does, in a separate environment"
	@echo "make test-peers                             run the tests of bench/peers.py with the other recommenders, in a separate environment"
	@echo "make check                                  lint, formatting, types and the GitLab CI definition"
	@echo "make preview [STAGE=dev|prod]               list the resources that pulumi up would register, offline"
	@echo "make review [STAGE=prod] [BASE=origin/main]  show what pulumi up would change, replace and cost, offline"
	@echo "make lock                                   update the lock files in requirements/"
	@echo "make clean                                  delete the environments and everything that was built"

# DATA reaches the command as it was given: through the environment, not through the shell's or make's syntax.
up: export NCF_DATA = $(value DATA)
up: spark-classes
	@$(PYTHON) -m local up --stage '$(STAGE)' $(if $(value DATA),--data "$$NCF_DATA") $(if $(filter-out 0,$(SERVE)),--serve) $(ARGS)

tune: export NCF_DATA = $(value DATA)
tune: spark-classes
	@$(PYTHON) -m local tune --stage '$(STAGE)' $(if $(value DATA),--data "$$NCF_DATA") $(if $(MINUTES),--minutes '$(MINUTES)') $(ARGS)

# Four processes keep two cores busy: some of them usually wait for a job, a build or an event.
# loadfile: the tests of a file share a process, and those of files that share something (tests/conftest.py).
# no-loadscope-reorder: tests/conftest.py puts the slowest files first.
test: spark-classes
	@$(PYTHON) -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-dags: environment environment-airflow
	@.venv-airflow/bin/python -m pytest --confcutdir tests/dags tests/dags $(ARGS)

test-container: environment-container
	@CONTAINER_PYTHON='$(CURDIR)/.venv-container/bin/python' $(PYTHON) -m pytest tests/container $(ARGS)

test-policies: environment environment-policies
	@POLICIES_PYTHON='$(CURDIR)/.venv-policies/bin/python' $(PYTHON) -m pytest tests/policies/test_pack.py $(ARGS)

test-peers: environment-peers
	@PEERS_PYTHON='$(CURDIR)/.venv-peers/bin/python' $(PYTHON) -m pytest tests/bench/test_peer_models.py $(ARGS)

# Lambdas share module names, so mypy checks each from its own folder.
check: environment
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@for folder in $(LAMBDAS); do (cd $$folder && $(CURDIR)/$(PYTHON) -m mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache/lambdas *.py) || exit 1; done
	@.venv/bin/check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml

preview: environment
	@$(PYTHON) -m local preview --stage '$(STAGE)'

review: environment
	@$(PYTHON) -m local review --stage '$(STAGE)' --base '$(BASE)' $(ARGS)

environment:
	@bash ci/environment.sh

environment-airflow:
	@bash ci/environment.sh airflow

environment-container: environment
	@bash ci/environment.sh container

environment-policies:
	@bash ci/environment.sh policies

environment-peers: environment
	@bash ci/environment.sh peers

# Once per environment: the JVMs of Spark start from the classes that one of them has loaded.
spark-classes: environment
	@[[ -f .venv/spark-classes.jsa ]] || $(PYTHON) -m local.spark_classes

# The lock has the dependencies of torch's CPU build, see ci/environment.sh: without those of CUDA.
lock: environment
	@$(PYTHON) -m pip install --quiet 'uv>=0.13,<1'
	@$(PYTHON) -m uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header --quiet -o requirements/lock.txt
	@sed -i.bak -E -e 's/^(torch==[0-9.]*).*/\1/' -e '/^(cuda-|nvidia-|triton==)/d' requirements/lock.txt && rm requirements/lock.txt.bak
	@$(PYTHON) -m uv pip compile requirements/program.in --constraint requirements/lock.txt --python-version 3.11 --no-annotate --no-header --quiet -o requirements/program.txt
	@{ echo '# Packages of the Pulumi programs, see program.in. Written by make lock.'; cat requirements/program.txt; } > requirements/program.new && mv requirements/program.new requirements/program.txt
	@$(PYTHON) -m uv pip compile requirements/airflow.in --exclude-newer 2025-09-05 --python-version 3.11 --no-annotate --no-header --quiet -o requirements/airflow.lock
	@$(PYTHON) -m uv pip compile requirements/container.in --constraint <(grep -v '^setuptools==' requirements/lock.txt) --python-version 3.11 --no-annotate --no-header --quiet -o requirements/container.lock
	@$(PYTHON) -m uv pip compile requirements/peers.in --constraint <(grep -Ev '^(numpy|pandas|scipy|setuptools)==' requirements/lock.txt) --python-version 3.11 --no-annotate --no-header --quiet -o requirements/peers.lock
	@sed -i.bak -E '/^(torch==|cuda-|nvidia-|triton==)/d' requirements/peers.lock && rm requirements/peers.lock.bak
	@$(PYTHON) -m uv pip compile requirements/jobs.in --no-deps --python-version 3.12 --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes --no-annotate --no-header --quiet -o requirements/jobs.lock
	@$(PYTHON) -m uv pip compile requirements/spark.in --python-version 3.9 --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes --no-annotate --no-header --quiet -o requirements/spark.lock

clean:
	@rm -rf .venv .venv-airflow .venv-container .venv-policies .venv-peers .local build out dist
