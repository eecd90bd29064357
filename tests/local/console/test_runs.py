"""Runs on the console: an EMR step belongs to the run whose id its scheduler has given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.console.runs import Runs

RUN_ID = "20261123T020000Z"


@dataclass(frozen=True)
class SourceOf:
    stage: str = "dev"
    region: str = "ap-northeast-2"
    outputs: Mapping[str, Any] = field(default_factory=lambda: {"preparation_job": "ncf-dev-preparation"})
    is_read_only: bool = True
    api_auth: None = None

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=self.region, aws_access_key_id="test", aws_secret_access_key="test"
        )


@pytest.mark.parametrize("given", [RUN_ID, "2026-11-23T02:00:00Z"])  # by Airflow, by EventBridge Scheduler
def test_step_of_a_cluster_is_found_by_its_run(given: str) -> None:
    with mock_aws():
        source = SourceOf()
        arguments = ["spark-submit", "prepare.py", "--run-id", given, "--top-n", "20300101T000000Z"]
        source.client("emr").run_job_flow(
            Name="ncf-dev-preparation",
            Instances={"InstanceCount": 1, "MasterInstanceType": "m6g.xlarge"},
            JobFlowRole="nodes",
            ServiceRole="service",
            Steps=[{"Name": "prepare", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments}}],
        )
        runs = Runs(source)
        found = runs.cluster_step(RUN_ID)
        assert found is not None
        assert found["Config"]["Args"] == arguments
        assert runs.cluster_step("20300101T000000Z") is None
