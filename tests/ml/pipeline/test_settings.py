"""A build's settings are checked before anything is asked of AWS, and a fault is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import contract
from ml.pipeline.environment import Run, Stage
from ml.pipeline.settings import SettingsError, TrainingSettings
from tests.ml.pipeline.conftest import ENVIRONMENT, TRAINING, environment


def test_a_complete_environment_is_a_stage_and_a_run() -> None:
    stage, run = Stage.from_environment(ENVIRONMENT), Run.from_environment(ENVIRONMENT)
    assert stage.pipeline_name == "ncf-dev"
    assert stage.training.floors.hr_at_10 == 0.5
    assert stage.training.hyperparameters["batch_size"] == 256
    assert run.data_prefix == "prepared/run=20261123T020000Z/"
    assert run.source_prefix == "models/20261123T020000Z/source/"
    assert run.evaluation_key == "models/20261123T020000Z/evaluation/evaluation.json"


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
@pytest.mark.parametrize("value", [None, "", "no such thing\n"])
def test_every_variable_that_is_missing_or_wrong_is_named(name: str, value: str | None) -> None:
    broken = {**ENVIRONMENT, name: value} if value is not None else ENVIRONMENT.copy()
    if value is None:
        del broken[name]
    with pytest.raises(SettingsError, match=f"^{name}: "):
        (Stage.from_environment(broken), Run.from_environment(broken))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"instance_typ": "ml.m5.xlarge"}, "instance_typ is not known: write instance_type, evaluation"),
        ({"instance_type": "m5.xlarge"}, "instance_type is 'm5.xlarge': write a SageMaker type"),
        ({"volume_gib": "30"}, "volume_gib is '30': write a whole number from 1 to 16384"),
        ({"volume_gib": True}, "volume_gib is True"),
        ({"max_runtime_s": 0}, "max_runtime_s is 0: write a whole number from 60 to 432000"),
        ({"use_spot": "yes"}, "use_spot is 'yes': write true or false"),
        ({"framework_version": "2"}, "framework_version is '2'"),
        ({"py_version": "3.12"}, "py_version is '3.12'"),
        ({"approval": "none"}, "approval is 'none': write automatic or manual"),
        ({"hyperparameters": []}, "hyperparameters is []: write an object"),
        ({"hyperparameters": {"lr": None}}, "hyperparameters.lr is None"),
        ({"hyperparameters": {"lr": float("inf")}}, "hyperparameters.lr is inf: write a finite number"),
        ({"hyperparameters": {"lr; rm -r": 1}}, "a hyperparameter's name is 'lr; rm -r'"),
        ({"floors": {"hr_at_10": 0.5}}, "floors.ndcg_at_10 is missing"),
        (
            {"floors": {"hr_at_10": 50, "ndcg_at_10": 0.2}},
            "floors.hr_at_10 is 50: write a number from 0 to 1",
        ),
        ({"tolerance": {"hr_at_10": 0, "ndcg_at_10": 0, "mrr": 0}}, "tolerance.mrr is not known"),
        ({"tags": {"Owner": 7}}, "tags.Owner is 7: write a text"),
    ],
)
def test_a_wrong_training_setting_is_named_and_told_what_to_write(
    change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Stage.from_environment(environment(**change))
    assert str(caught.value).startswith(f"{contract.ENV_TRAINING}: {complaint}")


@pytest.mark.parametrize("name", sorted(TRAINING))
def test_every_training_setting_is_required(name: str) -> None:
    text = json.dumps({key: value for key, value in TRAINING.items() if key != name})
    with pytest.raises(SettingsError, match=f"^{name} is missing$"):
        TrainingSettings.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3))
def test_any_other_json_is_one_line_of_complaint(document: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        TrainingSettings.from_json(json.dumps(document))
    assert "\n" not in str(caught.value)


@given(st.text().filter(lambda text: not contract.RUN_ID_PATTERN.fullmatch(text)))
def test_a_run_id_is_of_the_contract_s_form_or_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=f"^{contract.ENV_RUN_ID}: "):
        Run.from_environment(ENVIRONMENT | {contract.ENV_RUN_ID: text})
