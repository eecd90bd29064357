"""The DAG's tests run in Airflow's own environment (`make test-dags`); elsewhere nothing is collected."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
BUNDLE = "dags-folder"  # Airflow's name for the folder of its settings
PLATFORM_PYTHON = ROOT / ".venv/bin/python"  # has the emulator, which Airflow's environment has not

if find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]
else:  # Airflow reads its settings when it is imported
    HOME = tempfile.mkdtemp(prefix="airflow-")
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_"))]:
        del os.environ[name]  # the user's own
    sys.path.append(str(DAGS))  # as a bundle of DAGs does
    os.environ |= {
        "AIRFLOW_HOME": HOME,
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def pytest_configure(config: pytest.Config) -> None:
    """Airflow's own, which no DAG can help."""
    for message in ("GitWildMatchPattern", "Using `httpx` with `starlette.testclient`"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


def pytest_unconfigure() -> None:
    """The metadata database and the logs go with the tests."""
    if find_spec("airflow") is not None:
        shutil.rmtree(HOME, ignore_errors=True)


def parsed() -> Any:
    """The folder of DAGs, as Airflow parses a bundle."""
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(DAGS, bundle_path=DAGS, bundle_name=BUNDLE)


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """A fresh one in SQLite, with the DAGs in it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(parsed(), BUNDLE, None)


@pytest.fixture
def dag() -> Any:
    """The DAG, parsed afresh: a notifier is rendered but once."""
    return parsed().dags["prepare_interactions"]


@dataclass(frozen=True)
class Stage:
    """A deployed stage: its emulator and its outputs."""

    url: str
    region: str
    outputs: dict[str, Any]

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service)  # by the environment, as Airflow's own calls


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage that Airflow schedules, in a process of its own; how to reach it is in the environment."""
    process = subprocess.Popen(
        [str(PLATFORM_PYTHON), "-m", "tests.dags.serve_stage", str(tmp_path_factory.mktemp("cloud"))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, "the stage was not deployed"
        stage = Stage(**json.loads(line))
        os.environ |= {
            "AWS_ENDPOINT_URL": stage.url,
            "AWS_DEFAULT_REGION": stage.region,
            "AWS_ACCESS_KEY_ID": "AKIAEMULATOR00000000",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AIRFLOW_VAR_NCF_RUN_JOB_FLOW_URI": stage.outputs["run_job_flow_uri"],
            "AIRFLOW_VAR_NCF_ALARM_TOPIC_ARN": stage.outputs["alarm_topic_arn"],
        }
        yield stage
    finally:
        process.stdin.close()  # it ends with this process, however this one ends
        process.wait(30)
