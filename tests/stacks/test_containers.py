"""Images of the stages, and permission to pull them."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from ml.settings.containers import REGISTRY_ACCOUNTS
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
    }


@pytest.mark.parametrize("stage", STAGES)
def test_roles_of_containers_may_pull_exactly_the_images_of_their_region(stage: str) -> None:
    region = stage_file(stage)["aws:region"]
    pulled = [
        set(statement["Resource"])
        for policy in recorded(stage).of("aws:iam/rolePolicy:RolePolicy")
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if "ecr:BatchGetImage" in statement["Action"]
    ]
    repositories = f"arn:aws:ecr:{region}:{REGISTRY_ACCOUNTS[region]}:repository"
    assert pulled == [{f"{repositories}/pytorch-{use}" for use in ("inference", "training")}] * 2


@pytest.mark.parametrize("region", ["ap-east-1", "il-central-1"])
def test_stage_in_another_region_uses_the_registry_of_that_region(region: str) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8").replace("ap-northeast-2", region)
    done = run_program("dev", yaml.safe_load(text)["config"])
    inputs = json.dumps([each.inputs for each in done.resources], default=str)
    registries = set(re.findall(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.", inputs))
    assert registries == {(REGISTRY_ACCOUNTS[region], region)}
    assert set(re.findall(r"arn:aws:ecr:([a-z0-9-]+):(\d+)", inputs)) == {(region, REGISTRY_ACCOUNTS[region])}
