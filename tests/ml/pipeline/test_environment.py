"""Environment variables of a build are validated first; the error names a wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import contract
from ml.pipeline.environment import PipelineStage, Run, VariableError
from tests.ml.pipeline.conftest import ENVIRONMENT, environment


def test_complete_environment_is_a_stage_and_a_run() -> None:
    stage, run = PipelineStage.from_environment(ENVIRONMENT), Run.from_environment(ENVIRONMENT)
    assert stage.pipeline_name == "ncf-dev"
    assert stage.training.floors["hr_at_10"] == 0.5
    assert stage.training.hyperparameters["batch_size"] == 256
    assert run.data_prefix == "prepared/run=20261123T020000Z/"
    assert run.source_prefix == f"models/20261123T020000Z/source/{run.code_version}/"
    assert run.evaluation_key == "models/20261123T020000Z/evaluation/evaluation.json"


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
@pytest.mark.parametrize("value", [None, "", "no such thing\n"])
def test_missing_or_wrong_variable_is_named(name: str, value: str | None) -> None:
    broken = {**ENVIRONMENT, name: value} if value is not None else ENVIRONMENT.copy()
    if value is None:
        del broken[name]
    with pytest.raises(VariableError, match=f"^{name}: "):
        (PipelineStage.from_environment(broken), Run.from_environment(broken))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume_gib": "30"}, "volume_gib is '30': write a whole number from 1 to 16384"),
        ({"floors": {"hr_at_10": 0.5}}, "floors.ndcg_at_10 is missing"),
    ],
)
def test_wrong_training_setting_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(VariableError) as caught:
        PipelineStage.from_environment(environment(**change))
    assert str(caught.value) == f"{contract.ENV_TRAINING}: {message}"


@given(st.text().filter(lambda text: not contract.RUN_ID_PATTERN.fullmatch(text)))
def test_run_id_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(VariableError, match=f"^{contract.ENV_RUN_ID}: "):
        Run.from_environment(ENVIRONMENT | {contract.ENV_RUN_ID: text})
