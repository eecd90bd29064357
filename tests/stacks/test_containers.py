"""The images that the program names are those that AWS publishes."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stacks.config import StageConfig, load
from stacks.containers import REGISTRY_ACCOUNT, inference_image
from tests import pulumi_engine
from tests.repository import STAGES
from tests.stacks.program import as_pulumi_hands_it_over, stage_file


def published() -> dict[str, Any]:
    """AWS's own list of PyTorch images, as the SageMaker SDK ships it."""
    spec = find_spec("sagemaker.core")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "image_uri_config" / "pytorch.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("stage", STAGES)
def test_the_stages_framework_is_published_for_training_and_for_inference(stage: str) -> None:
    stages: list[StageConfig] = []
    config = as_pulumi_hands_it_over(stage_file(stage))
    pulumi_engine.run(lambda: stages.append(load()), config=config, stack=stage)
    training = stages[0].training
    for use in ("training", "inference"):
        listed = published()[use]["versions"][training.framework_version]
        assert listed["registries"][stages[0].region] == REGISTRY_ACCOUNT
        assert training.py_version in listed["py_versions"]
    image = inference_image(stages[0])
    assert image == (
        f"{REGISTRY_ACCOUNT}.dkr.ecr.ap-northeast-2.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
    )
