"""The program sets exactly the environment variables that the build and the Lambda functions read."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ml import contract
from ml.pipeline.environment import PipelineStage
from ml.settings import hyperparameters
from tests.ml.pipeline.conftest import REGION
from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded, stage_file

pytestmark = pytest.mark.filterwarnings("ignore:::sagemaker")  # deprecation warnings inside the SDK

POWERTOOLS_PREFIX = "POWERTOOLS_"


def build_environment(stage: str) -> dict[str, str]:
    """Variables of the stage's CodeBuild project, with the region that CodeBuild adds."""
    project = recorded(stage).one("aws:codebuild/project:Project").inputs
    variables = {each["name"]: each["value"] for each in project["environment"]["environmentVariables"]}
    return {**variables, "AWS_DEFAULT_REGION": REGION}


def variables_read(folder: Path) -> set[str]:
    """Names that the code of a function reads from ``os.environ[...]``."""
    return {
        node.slice.value
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == "os.environ"
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    }


@pytest.mark.parametrize("stage", STAGES)
def test_build_reads_the_environment_of_its_stage(stage: str) -> None:
    read = PipelineStage.from_environment(build_environment(stage))
    assert (read.name, read.pipeline_name, read.endpoint_name) == (stage, f"ncf-{stage}", f"ncf-{stage}")
    assert len({read.pipeline_role_arn, read.job_role_arn, read.model_role_arn}) == 3


@pytest.mark.parametrize("stage", STAGES)
def test_training_accepts_the_stage_hyperparameters(stage: str, aws: None) -> None:
    from ml.pipeline.jobs import command_line  # importing the SDK needs a region

    training = PipelineStage.from_environment(build_environment(stage)).training
    own = {key: value for key, value in training.hyperparameters.items() if key != "preset"}
    preset = hyperparameters.PRESETS[str(training.hyperparameters["preset"])]
    expected = hyperparameters.Hyperparameters(**{**preset, **own})
    assert hyperparameters.parse(command_line(training.hyperparameters)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_images_of_the_stage_are_ones_that_aws_publishes(stage: str, aws: None) -> None:
    from sagemaker.core.image_uris import retrieve  # importing the SDK needs a region

    read = PipelineStage.from_environment(build_environment(stage))
    training, serving = read.training, stage_file(stage)["ncf:serving"]

    def published(scope: Any, instance_type: str, versions: Mapping[str, str]) -> str:
        """The SDK's image; `retrieve` raises ValueError for versions that AWS does not publish."""
        return retrieve(
            "pytorch",
            region=read.region,
            version=versions["framework_version"],
            py_version=versions["py_version"],
            instance_type=instance_type,
            image_scope=scope,
        )

    for instance_type in (training.instance_type, training.evaluation_instance_type):
        assert training.image(read.region, instance_type) == published(
            "training", instance_type, asdict(training)
        )
    assert training.serving_image == published("inference", training.serving_instance_type, serving)
    model = recorded(stage).one("aws:sagemaker/model:Model").inputs
    assert model["primaryContainer"]["image"] == training.serving_image


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("folder", FUNCTIONS)
def test_function_gets_exactly_the_variables_that_its_code_reads(stage: str, folder: str) -> None:
    given = recorded(stage).one("aws:lambda/function:Function", folder.replace("_", "-")).inputs
    names = {name for name in given["environment"]["variables"] if not name.startswith(POWERTOOLS_PREFIX)}
    assert names == variables_read(ROOT / "lambdas" / folder)
    assert given["handler"] == "handler.handler"


def test_run_variables_are_not_set_by_the_project() -> None:
    names = set(build_environment("dev"))
    assert names.isdisjoint({contract.ENV_RUN_ID, contract.ENV_CODE_VERSION})
