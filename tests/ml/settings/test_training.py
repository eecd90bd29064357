"""Training settings: the same validation for the stage's config and for NCF_TRAINING."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.settings.fields import SettingError, setting
from ml.settings.metrics import GATED_METRICS, METRICS
from ml.settings.training import PipelineSettings, TrainingSettings
from tests.ml.pipeline.conftest import TRAINING


def read(**changes: Any) -> PipelineSettings:
    return PipelineSettings.from_json(json.dumps(TRAINING | changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"instance_typ": "ml.m5.xlarge"},
            "instance_typ is not known: write one of approval, evaluation_inst",
        ),
        ({"instance_type": "m5.xlarge"}, "instance_type is 'm5.xlarge': write a SageMaker type"),
        ({"volume_gib": "30"}, "volume_gib is '30': write a whole number from 1 to 16384"),
        ({"volume_gib": True}, "volume_gib is True"),
        ({"max_runtime_s": 0}, "max_runtime_s is 0: write a whole number from 60 to 432000"),
        ({"use_spot": "yes"}, "use_spot is 'yes': write true or false"),
        ({"framework_version": "2"}, "framework_version is '2': write a version such as 2.10.0"),
        ({"py_version": "3.12"}, "py_version is '3.12': write a Python such as py313"),
        ({"image_uri": "ncf:1"}, "image_uri is 'ncf:1': write the URI of an ECR image with a tag or digest"),
        ({"serving_image": None}, "serving_image is None: write the URI of an ECR image"),
        ({"approval": "none"}, "approval is 'none': write automatic or manual"),
        ({"hyperparameters": []}, "hyperparameters is []: write an object"),
        ({"hyperparameters": {"lr": None}}, "hyperparameters.lr is None: write a finite number or a text"),
        ({"hyperparameters": {"lr": True}}, "hyperparameters.lr is True: write a finite number or a text"),
        ({"hyperparameters": {"lr": float("inf")}}, "hyperparameters.lr is inf: write a finite number"),
        (
            {"hyperparameters": {"lr; rm -r": 1}},
            "a name in hyperparameters is 'lr; rm -r': write a name that",
        ),
        ({"floors": {"hr_at_10": 0.5}}, "floors.ndcg_at_10 is missing"),
        (
            {"floors": {"hr_at_10": 50, "ndcg_at_10": 0.2}},
            "floors.hr_at_10 is 50: write a number from 0 to 1",
        ),
        (
            {"tolerance": {"hr_at_10": 0, "ndcg_at_10": 0, "xyz_at_10": 0}},
            "tolerance.xyz_at_10 is not known: write one of",
        ),
        ({"gate_confidence": 1}, "gate_confidence is 1: write a number greater than 0.5 and less than 1"),
        ({"tags": {"Owner": 7}}, "tags.Owner is 7: write a text"),
    ],
)
def test_wrong_setting_is_named_with_what_to_write(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(**change)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", sorted(TRAINING))
def test_every_setting_is_required(name: str) -> None:
    text = json.dumps({key: value for key, value in TRAINING.items() if key != name})
    with pytest.raises(SettingError, match=f"^{name} is missing$"):
        PipelineSettings.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3))
def test_any_other_json_is_refused_with_one_line(document: Any) -> None:
    with pytest.raises(SettingError) as caught:
        PipelineSettings.from_json(json.dumps(document))
    assert "\n" not in str(caught.value)


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^the value is not JSON \("):
        PipelineSettings.from_json("{")


@dataclass(frozen=True)
class StageSection(TrainingSettings):
    """A section of a stage with a setting that the pipeline does not receive."""

    build_image: str = setting(help="CodeBuild image")


def test_settings_of_a_stage_survive_json() -> None:
    own = {"serving_image", "serving_instance_type", "tags"}
    values = {name: value for name, value in TRAINING.items() if name not in own}
    training = StageSection(**values, build_image="standard:5.0")
    settings = PipelineSettings.of_stage(training, **{name: TRAINING[name] for name in own})
    assert json.loads(settings.to_json()) == TRAINING | {"gate_confidence": 0.9}
    assert PipelineSettings.from_json(settings.to_json()) == settings


def test_each_metric_has_its_own_key_label_and_regex() -> None:
    for attribute in ("key", "label", "regex"):
        assert len({getattr(metric, attribute) for metric in METRICS}) == len(METRICS)
    assert [metric.key for metric in GATED_METRICS] == ["hr_at_10", "ndcg_at_10"]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_regex_of_a_metric_reads_its_printed_value(metric: Any) -> None:
    import re

    line = f"epoch 3; XYZ@10=0.5; {metric.label}=0.4241; end"
    (found,) = re.findall(metric.regex, line)
    assert found == "0.4241"
