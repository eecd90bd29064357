"""Images of the stages, and permission to pull them."""

from __future__ import annotations

import copy
import json
import re

import pytest
import yaml

from ml.settings.containers import REGISTRY_ACCOUNTS
from tests.pulumi_engine import Recording
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, run_program, stage_file


@pytest.mark.parametrize("stage", STAGES)
def test_endpoint_has_the_image_and_environment_of_the_pytorch_container(stage: str) -> None:
    model = recorded(stage).one("aws:sagemaker/model:Model").inputs
    image = "763104351884.dkr.ecr.ap-northeast-2.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
    assert model["primaryContainer"]["image"] == image
    assert model["primaryContainer"]["environment"] == {
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "OMP_NUM_THREADS": "1",
    }


def pulled_repositories(done: Recording) -> list[list[str]]:
    """Account and repository of the images that each role may pull; they are in the region of the stage."""
    region = "arn:aws:ecr:ap-northeast-2:"
    return sorted(
        sorted(arn.removeprefix(region) for arn in statement["Resource"])
        for policy in done.of("aws:iam/rolePolicy:RolePolicy")
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if "ecr:BatchGetImage" in statement["Action"]
    )


@pytest.mark.parametrize("stage", STAGES)
def test_each_role_of_a_container_may_pull_exactly_its_image(stage: str) -> None:
    account = REGISTRY_ACCOUNTS[stage_file(stage)["aws:region"]]
    uses = ["inference", "training"]
    if stage_file(stage)["ncf:batch_recommendations"]["enabled"]:
        uses.append("training")  # the batch job has another role
    assert pulled_repositories(recorded(stage)) == [[f"{account}:repository/pytorch-{use}"] for use in uses]


def test_own_images_replace_those_of_aws_in_jobs_and_endpoint() -> None:
    """An endpoint may still pull AWS's image, which models have that were registered before the change."""
    config = copy.deepcopy(stage_file("dev"))
    registry = "210987654321.dkr.ecr.ap-northeast-2.amazonaws.com"
    config["ncf:training"]["image_uri"] = f"{registry}/ncf-training:3"
    config["ncf:serving"]["image_uri"] = f"{registry}/ncf-serving@sha256:{'a' * 64}"

    done = run_program("dev", config)

    model = done.one("aws:sagemaker/model:Model").inputs["primaryContainer"]
    assert model["image"] == config["ncf:serving"]["image_uri"]
    variables = done.one("aws:codebuild/project:Project").inputs["environment"]["environmentVariables"]
    settings = json.loads({each["name"]: each["value"] for each in variables}["NCF_TRAINING"])
    assert settings["image_uri"] == config["ncf:training"]["image_uri"]
    assert settings["serving_image"] == config["ncf:serving"]["image_uri"]
    assert pulled_repositories(done) == [
        ["210987654321:repository/ncf-serving", "763104351884:repository/pytorch-inference"],
        ["210987654321:repository/ncf-training"],
    ]


@pytest.mark.parametrize("region", ["ap-east-1", "il-central-1"])
def test_stage_in_another_region_uses_the_registry_of_that_region(region: str) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8").replace("ap-northeast-2", region)
    done = run_program("dev", yaml.safe_load(text)["config"])
    inputs = json.dumps([each.inputs for each in done.resources], default=str)
    registries = set(re.findall(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.", inputs))
    assert registries == {(REGISTRY_ACCOUNTS[region], region)}
    assert set(re.findall(r"arn:aws:ecr:([a-z0-9-]+):(\d+)", inputs)) == {(region, REGISTRY_ACCOUNTS[region])}
