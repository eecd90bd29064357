"""Images of the stages, and permission to pull them."""

from __future__ import annotations

import json

import pytest

from ml.settings.containers import REGISTRY_ACCOUNTS
from tests.repository import STAGES
from tests.stacks.program import recorded, stage_file


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
