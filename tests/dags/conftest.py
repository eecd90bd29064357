"""Fixtures of the DAG tests.

The tests run in the Airflow environment (`make test-dags`); without Airflow none is collected.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
BUNDLE = "dags-folder"  # name of the bundle of `core.dags_folder`
ADMINISTRATOR = {"aws_access_key_id": "AKIAEMULATOR00000000", "aws_secret_access_key": "emulator"}
Mailbox = Callable[[], list[str]]  # messages of the DAG on the alarm topic since the last call
PLATFORM_PYTHON = ROOT / ".venv/bin/python"  # the emulator is not installed in the Airflow environment

if find_spec("airflow") is None:
    collect_ignore_glob = ["test_*.py"]
else:  # Airflow reads its settings on import
    HOME = tempfile.mkdtemp(prefix="airflow-")
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_"))]:
        del os.environ[name]  # settings of the user
    sys.path.append(str(DAGS))  # as a DAG bundle does
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
    """Ignore warnings of Airflow itself."""
    for message in ("GitWildMatchPattern", "Using `httpx` with `starlette.testclient`"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


def pytest_unconfigure() -> None:
    """Delete the metadata database and the logs."""
    if find_spec("airflow") is not None:
        shutil.rmtree(HOME, ignore_errors=True)


def parsed() -> Any:
    """The DAGs folder, parsed as a bundle."""
    from airflow.models.dagbag import DagBag

    return DagBag(DAGS, bundle_path=DAGS)


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """New SQLite database with the DAGs."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    parsed().sync_to_db(BUNDLE, None)


@pytest.fixture
def dag() -> Any:
    """The DAG, parsed again per test: a notifier renders its templates only once."""
    return parsed().dags["prepare_interactions"]


@dataclass(frozen=True)
class AirflowStage:
    """Outputs and address of the stage that is deployed to an emulator."""

    url: str
    region: str
    outputs: dict[str, Any]

    def client(self, service: str) -> Any:
        """Client of the account's administrator, for the tests; Airflow calls with its role."""
        import boto3

        return boto3.client(service, **ADMINISTRATOR)

    def artifact(self, key: str) -> bytes:
        """An object of the artifacts bucket."""
        found = self.client("s3").get_object(Bucket=self.outputs["artifacts_bucket"], Key=key)
        return bytes(found["Body"].read())


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStage]:
    """Deployed prod stage in a separate process; sets the variables of AWS and Airflow.

    The calls of this process have the permissions of the stage's Airflow role.
    """
    process = subprocess.Popen(
        [str(PLATFORM_PYTHON), "-m", "tests.dags.serve_stage", str(tmp_path_factory.mktemp("emulator"))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, "the stage was not deployed"
        stage = AirflowStage(**json.loads(line))
        os.environ |= {
            "AWS_ENDPOINT_URL": stage.url,
            "AWS_DEFAULT_REGION": stage.region,
            "AIRFLOW_VAR_NCF_RUN_JOB_FLOW_URI": stage.outputs["run_job_flow_uri"],
            "AIRFLOW_VAR_NCF_ALARM_TOPIC_ARN": stage.outputs["alarm_topic_arn"],
        }
        role = stage.outputs["airflow_role_arn"]
        assumed = stage.client("sts").assume_role(RoleArn=role, RoleSessionName="airflow")["Credentials"]
        os.environ |= {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }
        yield stage
    finally:
        process.stdin.close()  # the server ends when its standard input is closed
        try:
            process.wait(60)
        finally:
            process.kill()


@pytest.fixture
def mailbox(stage: AirflowStage) -> Iterator[Mailbox]:
    """Subscription to the alarm topic; returns the messages of the DAG, without those of EMR."""
    sqs, topic = stage.client("sqs"), stage.outputs["alarm_topic_arn"]
    url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stage.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def read() -> list[str]:
        received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
        texts = [json.loads(message["Body"])["Message"] for message in received.get("Messages", [])]
        return [text for text in texts if text.startswith("prepare_interactions")]

    yield read
    sqs.delete_queue(QueueUrl=url)
