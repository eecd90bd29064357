"""A Spark job for the tests of its component, security and permissions."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.iam import Allow, policy
from components.spark.job import SparkJob, SparkJobArgs
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
READ = Allow(actions=["s3:GetObject"], resources=["arn:aws:s3:::data/raw/*"])
EMR_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


def build(tmp_path: Path, **overrides: Any) -> Recording:
    (tmp_path / "prepare.py").write_text("")
    asset = pulumi.FileAsset(str(tmp_path / "prepare.py"))

    def program() -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "job_name": "ncf-dev-preparation",
            "release": "emr-7.12.0",
            "code_bucket": "artifacts",
            "code_prefix": "spark/",
            "package": asset,
            "packages": asset,
            "entry": asset,
            "arguments": [
                "--run-id",
                "__RUN_ID__",
                "--input",
                pulumi.Output.concat("s3://", "data", "/raw/"),
            ],
            "document_key": "spark/run_job_flow.json",
            "log_bucket": "logs",
            "log_prefix": "emr/",
            "kms_key_arn": KEY_ARN,
            "node_allows": [READ],
            "account_id": ACCOUNT,
            "vpc_id": "vpc-1",
            "subnet_ids": ["subnet-1", "subnet-2"],
            "s3_prefix_list_id": "pl-1",
            "endpoints_security_group_id": "sg-endpoints",
            "tags": {"Owner": "recommendation"},
            **overrides,
        }
        job = SparkJob("job", SparkJobArgs(**arguments))
        return {
            "document": job.document,
            "uri": job.document_uri,
            "launch": policy(job.permissions.grant_launch()),
            "manage": policy(job.permissions.grant_manage()),
        }

    return pulumi_engine.run(program)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return build(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="module")
def flow(done: Recording) -> dict[str, Any]:
    return json.loads(done.values["document"])


def classified(flow: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["Classification"]: each["Properties"] for each in flow["Configurations"]}
