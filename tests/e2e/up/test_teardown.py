"""After all runs: what the roles have used, and the deletion of what the runs have created."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emulator.environment import client_environment
from local.aws import STATE_FILE
from local.permissions.documented import documented_uses
from local.permissions.report import read_uses, report, without_equivalent
from tests.e2e.platform import ServedPlatform
from tests.e2e.processes import ROOT

pytestmark = pytest.mark.e2e

USES = ROOT / "tests" / "stacks" / "uses"


def test_roles_use_what_is_recorded_and_are_refused_nothing(platform: ServedPlatform) -> None:
    found = report(platform.stage)
    found.write(ROOT / "out" / f"uses-{found.stage}.json")
    assert found.refusals == []
    recorded = read_uses(USES / f"{found.stage}.json")
    known = [*recorded, *documented_uses(found.stage)]
    again = f"record again: cp out/uses-{found.stage}.json tests/stacks/uses/{found.stage}.json"
    assert without_equivalent(found.grants, found.uses, known) == [], again
    assert without_equivalent(found.grants, recorded, found.uses) == [], again


def test_teardown_leaves_nothing_that_stops_or_survives_the_deletion_of_the_stage(
    platform: ServedPlatform,
) -> None:
    """The last test of the platform: it deletes what the runs above created."""
    command = [sys.executable, "-m", "ci.teardown", "dev", "--outputs", str(platform.folder / STATE_FILE)]
    environment = client_environment(platform.stage.url, platform.stage.region, platform.folder)

    def teardown(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )

    listed = teardown()
    assert listed.returncode == 0, listed.stderr
    kinds = {line.split(":")[0] for line in listed.stdout.splitlines()[:-1]}
    assert kinds == {
        *("endpoint", "endpoint config", "log stream", "model", "model package", "objects", "pipeline"),
    }
    assert len(platform.packages()) == 2
    deleted = teardown("--delete", "--confirm", "dev")
    assert deleted.returncode == 0, deleted.stderr
    assert teardown().stdout == "nothing to delete; run pulumi destroy --stack dev\n"
    _delete_resources_of_the_stage(platform)
    sagemaker, logs = platform.stage.client("sagemaker"), platform.stage.client("logs")
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_pipelines()["PipelineSummaries"] == []
    assert platform.stage.client("s3").list_buckets()["Buckets"] == []
    own = {value for key, value in platform.stage.outputs.items() if key.endswith("_log_group")}
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    shared = groups - own  # SageMaker's log groups of jobs, which all stages of an account use
    assert shared == {"/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs"}
    streams = [logs.describe_log_streams(logGroupName=group)["logStreams"] for group in shared]
    assert streams == [[], []]


def _delete_resources_of_the_stage(platform: ServedPlatform) -> None:
    """Delete what `pulumi destroy` deletes and runs can block: buckets, package group, bootstrap model."""
    sagemaker, s3 = platform.stage.client("sagemaker"), platform.stage.client("s3")
    (config,) = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    sagemaker.delete_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
    (model,) = sagemaker.list_models()["Models"]
    sagemaker.delete_model(ModelName=model["ModelName"])
    group = platform.stage.outputs["model_package_group"]
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    for name in ("data", "artifacts", "logs"):
        s3.delete_bucket(Bucket=platform.stage.outputs[f"{name}_bucket"])
