"""Pipeline definitions: parameters, dependencies and refused definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.services.sagemaker.pipelines.definition import DefinitionError, PipelineDefinition


def fail_step(name: str, **changes: Any) -> dict[str, Any]:
    """A Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": "no"}, **changes}


def model_step(name: str, **changes: Any) -> dict[str, Any]:
    """A Model step; other steps can depend on it."""
    return {"Name": name, "Type": "Model", "Arguments": {}, **changes}


def definition(*steps: dict[str, Any], **changes: Any) -> str:
    """JSON text of a definition."""
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps, **changes})


REPORT = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.B.PropertyFiles.Report"}, "Path": "x"}}
PARAMETERS = [
    {"Name": "RunId", "Type": "String"},
    {"Name": "Stage", "Type": "String", "DefaultValue": "dev", "EnumValues": ["dev", "prod"]},
    {"Name": "Epochs", "Type": "Integer", "DefaultValue": 10},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.001},
    {"Name": "Spot", "Type": "Boolean", "DefaultValue": False},
]


def test_given_parameters_are_converted_and_override_defaults() -> None:
    parsed = PipelineDefinition.parse(definition(Parameters=PARAMETERS))
    given = {"RunId": "r", "Epochs": "3", "Rate": "1e-2", "Spot": "true"}
    assert parsed.values(given) == {"RunId": "r", "Stage": "dev", "Epochs": 3, "Rate": 0.01, "Spot": True}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter RunId has no default and no value"),
        ({"RunId": "r", "Epoch": "3"}, "unknown parameter Epoch"),
        ({"RunId": "r", "Epochs": "three"}, "parameter Epochs: 'three' is not of type Integer"),
        ({"RunId": "r", "Spot": "yes"}, "parameter Spot: 'yes' is not of type Boolean"),
        ({"RunId": "r", "Stage": "test"}, "parameter Stage: 'test' is not one of dev, prod"),
    ],
)
def test_invalid_parameter_is_refused_with_its_name(given: dict[str, str], message: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        PipelineDefinition.parse(definition(Parameters=PARAMETERS)).values(given)
    assert str(refused.value) == message


def test_step_depends_on_named_and_referenced_steps_and_on_its_condition() -> None:
    gate = {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": {"Get": "Steps.A.ModelName"}, "RightValue": "x"}],
            "IfSteps": [
                model_step("Then", DependsOn=["B"], Arguments={"ModelName": {"Get": "Steps.C.ModelName"}})
            ],
            "ElseSteps": [fail_step("Else")],
        },
    }
    steps = PipelineDefinition.parse(
        definition(model_step("A"), model_step("B"), model_step("C"), gate)
    ).steps
    assert steps["Gate"].depends_on == {"A"}
    assert steps["Then"].depends_on == {"B", "C", "Gate"}
    assert (steps["Then"].branch, steps["Else"].branch) == (("Gate", True), ("Gate", False))
    assert steps["A"].branch is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the pipeline definition is not JSON"),
        (definition(Version="2019-01-01"), "unknown pipeline definition version '2019-01-01'"),
        (definition(Extras=1), "the pipeline definition: unknown field Extras"),
        (definition({"Type": "Fail"}), "every step needs a Name"),
        (definition(fail_step("A", Type="Tuning")), "step A: the step type 'Tuning' is not emulated"),
        (definition(fail_step("A", Selector=1)), "step A: unknown field Selector"),
        (definition(fail_step("A"), fail_step("A")), "step A: the name is used twice"),
        (definition(model_step("A", DependsOn=["B"])), "step A: it depends on B, which is not a step"),
        (definition(model_step("A", DependsOn=["F"]), fail_step("F")), "cannot depend on the Fail step F"),
        (
            definition(model_step("A", DependsOn=[{"Step": "B", "Trigger": "Failed"}]), model_step("B")),
            "step A: a DependsOn entry with a Trigger is not emulated",
        ),
        (
            definition(model_step("A", DependsOn=["B"]), model_step("B", DependsOn=["A"])),
            "depend on each other",
        ),
        (
            definition(model_step("A", Arguments={"ModelName": {"Std:Upper": "x"}})),
            "step A: unknown function Std:Upper",
        ),
        (
            definition(model_step("A", Arguments={"ModelName": {"Get": "Parameters.Missing"}})),
            "step A: Missing is not a parameter",
        ),
        (
            definition(model_step("A", Arguments={"ModelName": {"Get": "Execution.Mood"}})),
            "step A: unknown execution variable Execution.Mood",
        ),
        (
            definition(
                {"Name": "G", "Type": "Condition", "Arguments": {"Conditions": [{"Type": "Contains"}]}}
            ),
            "step G: unknown condition type 'Contains'",
        ),
        (
            definition(model_step("B"), model_step("A", Arguments={"ModelName": REPORT})),
            "step A: B has no property file Report",
        ),
        (definition(Parameters=[{"Name": "P", "Type": "List"}]), "parameter P: unknown type 'List'"),
    ],
)
def test_unsupported_definition_is_refused_with_the_step_or_field(text: str, message: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        PipelineDefinition.parse(text)
    assert message in str(refused.value)


def test_definition_of_this_project_is_parsed() -> None:
    text = (Path(__file__).parent / "pipeline_definition.json").read_text()
    steps = PipelineDefinition.parse(text).steps
    assert list(steps) == [
        "NCFTraining",
        "NCFEvaluation",
        "NCFQualityGate",
        "NCFRegister",
        "NCFCreateModel",
        "NCFDeploy",
        "NCFRejected",
    ]
    assert steps["NCFDeploy"].depends_on == {"NCFRegister", "NCFCreateModel", "NCFQualityGate"}
