"""Expressions of pipeline definitions, and conditions of Condition steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from emulator.services.sagemaker.pipelines import conditions
from emulator.services.sagemaker.pipelines.expressions import PipelineExpressionError, resolve, split_path


class FixedScope:
    """Scope with fixed values."""

    def parameter(self, name: str) -> Any:
        return {"RunId": "r1", "Epochs": 3, "Rate": 0.001, "Spot": True}[name]

    def execution(self, name: str) -> str:
        return {"PipelineExecutionId": "abc"}[name]

    def step(self, name: str) -> Mapping[str, Any]:
        outputs = [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}, {"OutputName": "test"}]
        return {"A": {"Config": {"Outputs": outputs}, "Zero": 0}}[name]

    def property_file(self, step: str, name: str) -> Any:
        return {("A", "Report"): {"model": {"hr": 0.7, "a b": [1, 2]}}}[step, name]

    def json_object(self, uri: str) -> Any:
        return {"s3://b/r1.json": {"ok": False}}[uri]


RUN_ID = {"Get": "Parameters.RunId"}


def join(on: str, *values: Any) -> dict[str, Any]:
    """Std:Join expression."""
    return {"Std:Join": {"On": on, "Values": list(values)}}


def json_get(path: str) -> dict[str, Any]:
    """Std:JsonGet expression on the property file of step A."""
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.A.PropertyFiles.Report"}, "Path": path}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("plain", "plain"),
        ({"Get": "Parameters.Epochs"}, 3),
        ({"Get": "Execution.PipelineExecutionId"}, "abc"),
        ({"Get": "Steps.A.Config.Outputs['train'].S3Output.S3Uri"}, "s3://b/train"),
        ({"Get": 'Steps.A.Config.Outputs["train"].S3Output.S3Uri'}, "s3://b/train"),
        ({"Get": "Steps.A.Config.Outputs[1].OutputName"}, "test"),
        ({"Get": "Steps.A.Zero"}, 0),
        (join("/", "s3:/", RUN_ID, ""), "s3://r1/"),
        (
            join(",", {"Get": "Parameters.Epochs"}, {"Get": "Parameters.Rate"}, {"Get": "Parameters.Spot"}),
            "3,0.001,true",
        ),
        (join("-", "a", join("+", "b", "c")), "a-b+c"),
        (json_get("model.hr"), 0.7),
        (json_get("$.model['a b'][1]"), 2),
        ({"Std:JsonGet": {"S3Uri": join("", "s3://b/", RUN_ID, ".json"), "Path": "ok"}}, False),
        ({"deep": [RUN_ID]}, {"deep": ["r1"]}),
        ({"Get": "Parameters.RunId", "Std:Other": 1}, {"Get": "Parameters.RunId", "Std:Other": 1}),
    ],
)
def test_expression_resolves_to_its_value_and_type(expression: Any, value: Any) -> None:
    found = resolve(expression, FixedScope())
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"Std:Split": {}}, "unknown function Std:Split"),
        ({"Get": "Elsewhere.X"}, "'Elsewhere.X' is neither"),
        ({"Get": "Steps.A.Config.Missing"}, "Steps.A.Config.Missing: there is no 'Missing'"),
        ({"Get": "Steps.A.Config.Outputs[9].OutputName"}, "there is no 9"),
        ({"Std:Join": {"On": "", "Values": [["a list"]]}}, "Std:Join takes strings"),
        (json_get("model.ndcg"), "Report: model.ndcg: there is no 'ndcg'"),
        (json_get("model"), "the value is not a string, a number or a boolean"),
        (json_get("model[?(@.hr>0)]"), "is not a path that can be read"),
        (json_get("model.*"), "is not a path that can be read"),
        (json_get(""), "is not a path that can be read"),
    ],
)
def test_error_of_an_expression_without_value_names_the_cause(expression: Any, message: str) -> None:
    with pytest.raises(PipelineExpressionError) as raised:
        resolve(expression, FixedScope())
    assert message in str(raised.value)


def test_path_is_split_at_dots_and_brackets() -> None:
    assert split_path("Steps.A.B['c.d'][0].E") == ["Steps", "A", "B", "c.d", 0, "E"]


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    """Condition that compares two values."""
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        (compare("Equals", 1, 1.0), True),
        (compare("Equals", "a", "b"), False),
        (compare("Equals", True, 1), False),
        (compare("GreaterThan", 0.7, 0.7), False),
        (compare("GreaterThanOrEqualTo", 0.7, 0.7), True),
        (compare("LessThan", -1, 0), True),
        (compare("LessThanOrEqualTo", 2, 1), False),
        (compare("LessThan", "20261122", "20261123"), True),
        ({"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}, True),
        ({"Type": "In", "QueryValue": "c", "Values": ["a", "b"]}, False),
        ({"Type": "Not", "Condition": compare("Equals", 1, 1)}, False),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("Equals", 1, 1)]}, True),
        ({"Type": "Or", "Conditions": []}, False),
    ],
)
def test_condition_is_evaluated(condition: dict[str, Any], outcome: bool) -> None:
    conditions.check(condition)
    assert conditions.evaluate(condition) is outcome


@pytest.mark.parametrize(("left", "right"), [("1", 2), (1, "2"), (True, 1), (None, None)])
def test_values_of_different_types_are_not_compared(left: Any, right: Any) -> None:
    with pytest.raises(PipelineExpressionError, match="cannot be compared"):
        conditions.evaluate(compare("GreaterThan", left, right))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"Type": "Contains", "LeftValue": 1, "RightValue": 1}, "unknown condition type 'Contains'"),
        ({"Type": "Equals", "LeftValue": 1}, "condition Equals: missing or unknown field RightValue"),
        ({"Type": "Not", "Condition": {"Type": "Nor"}}, "unknown condition type 'Nor'"),
    ],
)
def test_unsupported_condition_is_refused(condition: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineExpressionError, match=message):
        conditions.check(condition)
