"""Pipeline definitions: parsed from JSON, and refused when the emulator cannot run them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from emulator.services.sagemaker.pipelines import conditions
from emulator.services.sagemaker.pipelines.expressions import (
    PipelineExpressionError,
    find_calls,
    property_file_of,
    split_path,
)

VERSIONS = ("2020-12-01",)
TOP_FIELDS = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
EXECUTION_VARIABLES = (
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
)
_COMMON = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"}
_RETRYABLE = _COMMON | {"RetryPolicies", "CacheConfig"}
# Supported step types and their fields.
STEP_FIELDS = {
    "Training": _RETRYABLE,
    "Processing": _RETRYABLE | {"PropertyFiles"},
    "RegisterModel": _RETRYABLE,
    "Model": _RETRYABLE,
    "Lambda": _COMMON | {"CacheConfig", "FunctionArn", "OutputParameters"},
    "Condition": _COMMON,
    "Fail": _COMMON,
}
PARAMETER_TYPES = {"String": str, "Integer": int, "Float": float, "Boolean": bool}


class DefinitionError(ValueError):
    """A pipeline definition cannot be run; the message names the step or the parameter."""


@dataclass(frozen=True)
class PipelineParameter:
    """One parameter of a pipeline."""

    name: str
    type: str
    default: Any = None
    choices: tuple[str, ...] = ()

    def convert(self, text: str) -> Any:
        """Convert a value of StartPipelineExecution to the parameter's type.

        Raises:
            DefinitionError: the text is not of the type, or not one of the choices.
        """
        try:
            if self.type == "Boolean":
                value: Any = {"true": True, "false": False}[text.lower()]
            else:
                value = PARAMETER_TYPES[self.type](text)
        except (ValueError, KeyError) as error:
            raise DefinitionError(f"parameter {self.name}: {text!r} is not of type {self.type}") from error
        if self.choices and value not in self.choices:
            raise DefinitionError(f"parameter {self.name}: {text!r} is not one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True)
class PipelineStep:
    """One step of a pipeline.

    Attributes:
        depends_on: steps that must have succeeded: those in DependsOn, those that the arguments refer to, and
            the Condition step that contains this one.
        branch: name of that Condition step and the outcome for which this step runs; None at the top level.
        raw: the step in the definition.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    depends_on: frozenset[str]
    branch: tuple[str, bool] | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def property_files(self) -> dict[str, Mapping[str, Any]]:
        """Property files of a Processing step by name."""
        return {file["PropertyFileName"]: file for file in self.raw.get("PropertyFiles", [])}


@dataclass(frozen=True)
class PipelineDefinition:
    """Parameters and steps of a pipeline by name; steps in the order of the definition."""

    parameters: dict[str, PipelineParameter]
    steps: dict[str, PipelineStep]

    @classmethod
    def parse(cls, text: str) -> PipelineDefinition:
        """Parse and check a definition.

        Raises:
            DefinitionError: it is not JSON, or the emulator cannot run it.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise DefinitionError(f"the pipeline definition is not JSON: {error}") from error
        if document.get("Version") not in VERSIONS:
            raise DefinitionError(f"unknown pipeline definition version {document.get('Version')!r}")
        _check_fields(document, TOP_FIELDS, "the pipeline definition")
        parameters = {item["Name"]: _parameter(item) for item in document.get("Parameters", [])}
        steps: dict[str, PipelineStep] = {}
        for raw, branch in _flatten(document.get("Steps", []), None):
            if raw["Name"] in steps:
                raise DefinitionError(f"step {raw['Name']}: the name is used twice")
            steps[raw["Name"]] = _step(raw, branch)
        definition = cls(parameters, steps)
        definition._check()
        return definition

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Values of all parameters in an execution started with ``given``.

        Raises:
            DefinitionError: unknown parameter, value of a wrong type, or missing value.
        """
        if unknown := sorted(set(given) - set(self.parameters)):
            raise DefinitionError(f"unknown parameter {', '.join(unknown)}")
        values = {name: item.default for name, item in self.parameters.items()}
        values.update({name: self.parameters[name].convert(text) for name, text in given.items()})
        if missing := [name for name, value in values.items() if value is None]:
            raise DefinitionError(f"parameter {', '.join(missing)} has no default and no value")
        return values

    def _check(self) -> None:
        for step in self.steps.values():
            for name in step.depends_on:
                if name not in self.steps:
                    raise DefinitionError(f"step {step.name}: it depends on {name}, which is not a step")
                if self.steps[name].type == "Fail":
                    raise DefinitionError(f"step {step.name}: it cannot depend on the Fail step {name}")
            for parameter in _parameters_of(step):
                if parameter not in self.parameters:
                    raise DefinitionError(f"step {step.name}: {parameter} is not a parameter")
            for owner, name in _property_files_of(step):
                if name not in self.steps[owner].property_files:
                    raise DefinitionError(f"step {step.name}: {owner} has no property file {name}")
        try:
            TopologicalSorter({s.name: s.depends_on for s in self.steps.values()}).prepare()
        except CycleError as error:
            raise DefinitionError(f"the steps {', '.join(error.args[1])} depend on each other") from error


def _own_arguments(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments of a step without the nested steps of a Condition."""
    arguments = raw.get("Arguments", {})
    return {key: arguments[key] for key in arguments if key not in ("IfSteps", "ElseSteps")}


def _flatten(
    steps: list[Any], branch: tuple[str, bool] | None
) -> Iterator[tuple[Mapping[str, Any], tuple[str, bool] | None]]:
    for raw in steps:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("Name"), str):
            raise DefinitionError("every step needs a Name")
        yield raw, branch
        if raw.get("Type") == "Condition":
            yield from _flatten(raw["Arguments"].get("IfSteps", []), (raw["Name"], True))
            yield from _flatten(raw["Arguments"].get("ElseSteps", []), (raw["Name"], False))


def _step(raw: Mapping[str, Any], branch: tuple[str, bool] | None) -> PipelineStep:
    name, kind = raw["Name"], raw.get("Type")
    if kind not in STEP_FIELDS:
        raise DefinitionError(f"step {name}: the step type {kind!r} is not emulated")
    _check_fields(raw, STEP_FIELDS[kind], f"step {name}")
    arguments = _own_arguments(raw)
    depends_on = set()
    for item in raw.get("DependsOn", []):
        if not isinstance(item, str):
            raise DefinitionError(f"step {name}: a DependsOn entry with a Trigger is not emulated")
        depends_on.add(item)
    try:
        depends_on |= set(_referenced_steps(arguments))
        for condition in arguments.get("Conditions", []) if kind == "Condition" else []:
            conditions.check(condition)
    except PipelineExpressionError as error:
        raise DefinitionError(f"step {name}: {error}") from error
    if branch is not None:
        depends_on.add(branch[0])
    return PipelineStep(name, kind, arguments, frozenset(depends_on), branch, raw)


def _referenced_steps(arguments: Any) -> Iterator[str]:
    """Names of the steps that the expressions refer to; checks every expression."""
    for function, argument in find_calls(arguments):
        if function == "Get":
            kind, *rest = split_path(str(argument))
            if kind == "Steps" and rest:
                yield str(rest[0])
            elif kind == "Execution" and rest and rest[0] not in EXECUTION_VARIABLES:
                raise PipelineExpressionError(f"unknown execution variable {argument}")
            elif kind not in ("Parameters", "Execution", "Steps"):
                raise PipelineExpressionError(f"unknown reference {argument!r}")
        elif function == "Std:JsonGet" and "S3Uri" not in argument:
            property_file_of(argument.get("PropertyFile", {}).get("Get", ""))


def _property_files_of(step: PipelineStep) -> Iterator[tuple[str, str]]:
    for function, argument in find_calls(step.arguments):
        if function == "Std:JsonGet" and "PropertyFile" in argument:
            yield property_file_of(argument["PropertyFile"]["Get"])


def _parameters_of(step: PipelineStep) -> Iterator[str]:
    for function, argument in find_calls(step.arguments):
        if function == "Get" and str(argument).startswith("Parameters."):
            yield str(argument).removeprefix("Parameters.")


def _parameter(item: Mapping[str, Any]) -> PipelineParameter:
    name, kind = item["Name"], item.get("Type")
    if kind not in PARAMETER_TYPES:
        raise DefinitionError(f"parameter {name}: unknown type {kind!r}")
    return PipelineParameter(name, kind, item.get("DefaultValue"), tuple(item.get("EnumValues", [])))


def _check_fields(item: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if unknown := sorted(set(item) - allowed):
        raise DefinitionError(f"{where}: unknown field {', '.join(unknown)}")
