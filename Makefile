# The front door. Every target sets up what it needs; a second run reuses it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help up test test-dags check preview lock clean

STAGE ?= dev
PYTHON := .venv/bin/python

help: ## what there is
	@echo "make up [STAGE=dev] [DATA=path] [SERVE=1]   the whole platform on this machine, to the first recommendation"
	@echo "make test [ARGS='-k gate']                  every test"
	@echo "make test-dags                              the Airflow DAG's tests, in an environment of their own"
	@echo "make check                                  lint, formatting, types, CI definition"
	@echo "make preview [STAGE=dev|prod]               what pulumi up would register, offline"
	@echo "make lock                                   renew requirements/lock.txt, airflow.lock and spark.lock"
	@echo "make clean                                  remove what the targets above made"

up: environment
	@$(PYTHON) -m local up --stage '$(STAGE)' $(if $(DATA),--data '$(DATA)') $(if $(filter-out 0,$(SERVE)),--serve)

test: environment
	@$(PYTHON) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-dags: environment
	@bash ci/environment.sh airflow
	@.venv-airflow/bin/python -m pytest --confcutdir tests/dags tests/dags $(ARGS)

check: environment
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@for function in lambdas/*/; do (cd $$function && ../../$(PYTHON) -m mypy --config-file ../../pyproject.toml *.py) || exit 1; done
	@.venv/bin/check-jsonschema --builtin-schema vendor.gitlab-ci .gitlab-ci.yml

preview: environment
	@$(PYTHON) -m local preview --stage '$(STAGE)'

.PHONY: environment
environment:
	@bash ci/environment.sh

lock: environment
	@$(PYTHON) -m pip install --quiet 'uv>=0.13,<1'
	@$(PYTHON) -m uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header --quiet -o requirements/lock.txt
	@sed -i.bak 's/^\(torch==[0-9.]*\).*/\1/' requirements/lock.txt && rm requirements/lock.txt.bak
	@$(PYTHON) -m uv pip compile requirements/airflow.in --python-version 3.11 --no-annotate --no-header --quiet -o requirements/airflow.lock
	@$(PYTHON) -m uv pip compile requirements/spark.in --python-version 3.9 --python-platform x86_64-manylinux_2_28 --only-binary :all: --generate-hashes --no-annotate --no-header --quiet -o requirements/spark.lock

clean:
	@rm -rf .venv .venv-airflow .local build out dist
