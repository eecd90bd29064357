"""Both stages of the platform deploy, whole, and nothing in them is skipped in silence."""

from __future__ import annotations

import json

import pytest

from emulator.app import Emulator
from local.deploy.creators import CREATORS
from local.deploy.engine import Deployment, deploy
from local.deploy.not_emulated import NOT_EMULATED, as_markdown
from local.preview import Resource, preview
from tests.repository import FUNCTIONS, ROOT, STAGES


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def registered(stage: str) -> list[Resource]:
    """What the stage asks its provider for."""
    return [resource for resource in preview(stage) if not resource.is_component]


@pytest.fixture(scope="module")
def deployment(stage: str, emulator: Emulator) -> Deployment:
    """Both stages go into one emulator, as into one account."""
    return deploy(stage, root=ROOT, emulator=emulator)


def test_every_type_that_a_stage_registers_has_a_creator(registered: list[Resource]) -> None:
    assert sorted({resource.type for resource in registered} - CREATORS.keys()) == []


def test_every_resource_of_a_stage_is_created(registered: list[Resource], deployment: Deployment) -> None:
    assert sorted(r.urn for r in deployment.resources) == sorted(r.urn for r in registered)


def test_what_a_stage_exports_is_there(stage: str, deployment: Deployment, emulator: Emulator) -> None:
    outputs = deployment.outputs
    buckets = {bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]}
    projects = emulator.client("codebuild").list_projects()["projects"]
    endpoint = emulator.client("sagemaker").describe_endpoint(EndpointName=f"ncf-{stage}")

    assert {outputs["data_bucket"], outputs["artifacts_bucket"], outputs["logs_bucket"]} <= buckets
    assert outputs["codebuild_project"] in projects
    assert (outputs["endpoint_name"], endpoint["EndpointStatus"]) == (f"ncf-{stage}", "InService")
    assert outputs["api_url"].startswith(f"{emulator.url}/_aws/execute-api/")
    for function in FUNCTIONS:
        emulator.client("lambda").get_function(FunctionName=outputs[f"{function}_function"])


def test_the_published_job_flow_names_what_was_deployed(deployment: Deployment, emulator: Emulator) -> None:
    bucket, key = deployment.outputs["run_job_flow_uri"].removeprefix("s3://").split("/", 1)

    body = emulator.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    flow = json.loads(body)

    subnets = {r.id for r in deployment.resources if r.type == "aws:ec2/subnet:Subnet"}
    assert set(flow["Instances"]["Ec2SubnetIds"]) == subnets
    assert "unknown" not in body.decode().lower()


def test_the_default_tags_of_the_stage_are_on_its_buckets(
    stage: str, deployment: Deployment, emulator: Emulator
) -> None:
    tags = emulator.client("s3").get_bucket_tagging(Bucket=deployment.outputs["data_bucket"])["TagSet"]

    found = {tag["Key"]: tag["Value"] for tag in tags}
    assert {"Owner", "Service", "Stage"} <= found.keys()
    assert found["Stage"] == stage


def test_what_is_declared_as_not_emulated_is_what_a_stage_asks_for_in_vain(deployment: Deployment) -> None:
    assert deployment.not_emulated == NOT_EMULATED.keys()


def test_the_documentation_lists_what_is_not_emulated() -> None:
    text = (ROOT / "emulator" / "README.md").read_text()
    table = text.partition("<!-- not-emulated:begin -->\n")[2].partition("\n<!-- not-emulated:end -->")[0]

    assert table == as_markdown()
