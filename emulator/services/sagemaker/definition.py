"""A pipeline definition: read from its JSON, and refused where the emulator could not run it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from emulator.services.sagemaker import conditions
from emulator.services.sagemaker.expressions import ExpressionError, calls, property_file_of, split_path

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
_RETRIED = _COMMON | {"RetryPolicies", "CacheConfig"}
# Every step type that can be run here, and the fields that it may have.
STEP_FIELDS = {
    "Training": _RETRIED,
    "Processing": _RETRIED | {"PropertyFiles"},
    "RegisterModel": _RETRIED,
    "Model": _RETRIED,
    "Lambda": _COMMON | {"CacheConfig", "FunctionArn", "OutputParameters"},
    "Condition": _COMMON,
    "Fail": _COMMON,
}
PARAMETER_TYPES = {"String": str, "Integer": int, "Float": float, "Boolean": bool}


class DefinitionError(ValueError):
    """A pipeline definition that can't be run; the message names the step or the parameter."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pipeline."""

    name: str
    type: str
    default: Any = None
    choices: tuple[str, ...] = ()

    def convert(self, text: str) -> Any:
        """A value as StartPipelineExecution brings it, in the parameter's type.

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
class Step:
    """One step.

    Attributes:
        depends_on: the steps that must have succeeded: named ones, ones that its arguments refer to, and the
            Condition step in whose branch it lies.
        branch: that Condition step's name, and the outcome that leads here; None at the top.
        raw: the step as the definition has it.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    depends_on: frozenset[str]
    branch: tuple[str, bool] | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def property_files(self) -> dict[str, Mapping[str, Any]]:
        """A Processing step's property files by name."""
        return {file["PropertyFileName"]: file for file in self.raw.get("PropertyFiles", [])}


@dataclass(frozen=True)
class Definition:
    """A pipeline: its parameters, and its steps by name in the order in which they are written."""

    parameters: dict[str, Parameter]
    steps: dict[str, Step]

    @classmethod
    def parse(cls, text: str) -> Definition:
        """Reads a definition.

        Raises:
            DefinitionError: it is not JSON, or something in it can't be run here.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise DefinitionError(f"the pipeline definition is not JSON: {error}") from error
        if document.get("Version") not in VERSIONS:
            raise DefinitionError(f"unknown pipeline definition version {document.get('Version')!r}")
        _only(document, TOP_FIELDS, "the pipeline definition")
        parameters = {item["Name"]: _parameter(item) for item in document.get("Parameters", [])}
        steps: dict[str, Step] = {}
        for raw, branch in _flatten(document.get("Steps", []), None):
            if raw["Name"] in steps:
                raise DefinitionError(f"step {raw['Name']}: the name is used twice")
            steps[raw["Name"]] = _step(raw, branch)
        definition = cls(parameters, steps)
        definition._check()
        return definition

    def values(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Every parameter's value in an execution that is started with ``given``.

        Raises:
            DefinitionError: an unknown parameter, a value of a wrong type, or one that is missing.
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
                    raise DefinitionError(f"step {step.name}: it can not depend on the Fail step {name}")
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


def own_arguments(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step's arguments without the steps in a Condition's branches."""
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


def _step(raw: Mapping[str, Any], branch: tuple[str, bool] | None) -> Step:
    name, kind = raw["Name"], raw.get("Type")
    if kind not in STEP_FIELDS:
        raise DefinitionError(f"step {name}: the step type {kind!r} is not emulated by the emulator")
    _only(raw, STEP_FIELDS[kind], f"step {name}")
    arguments = own_arguments(raw)
    depends_on = set()
    for item in raw.get("DependsOn", []):
        if not isinstance(item, str):
            raise DefinitionError(f"step {name}: a DependsOn entry with a Trigger is not emulated")
        depends_on.add(item)
    try:
        depends_on |= set(_steps_in(arguments))
        for condition in arguments.get("Conditions", []) if kind == "Condition" else []:
            conditions.check(condition)
    except ExpressionError as error:
        raise DefinitionError(f"step {name}: {error}") from error
    if branch is not None:
        depends_on.add(branch[0])
    return Step(name, kind, arguments, frozenset(depends_on), branch, raw)


def _steps_in(arguments: Any) -> Iterator[str]:
    """The steps that an expression refers to; checks every expression on the way."""
    for function, argument in calls(arguments):
        if function == "Get":
            kind, *rest = split_path(str(argument))
            if kind == "Steps" and rest:
                yield str(rest[0])
            elif kind == "Execution" and rest and rest[0] not in EXECUTION_VARIABLES:
                raise ExpressionError(f"unknown execution variable {argument}")
            elif kind not in ("Parameters", "Execution", "Steps"):
                raise ExpressionError(f"{argument!r} refers to nothing that is known")
        elif function == "Std:JsonGet" and "S3Uri" not in argument:
            property_file_of(argument.get("PropertyFile", {}).get("Get", ""))


def _property_files_of(step: Step) -> Iterator[tuple[str, str]]:
    for function, argument in calls(step.arguments):
        if function == "Std:JsonGet" and "PropertyFile" in argument:
            yield property_file_of(argument["PropertyFile"]["Get"])


def _parameters_of(step: Step) -> Iterator[str]:
    for function, argument in calls(step.arguments):
        if function == "Get" and str(argument).startswith("Parameters."):
            yield str(argument).removeprefix("Parameters.")


def _parameter(item: Mapping[str, Any]) -> Parameter:
    name, kind = item["Name"], item.get("Type")
    if kind not in PARAMETER_TYPES:
        raise DefinitionError(f"parameter {name}: unknown type {kind!r}")
    return Parameter(name, kind, item.get("DefaultValue"), tuple(item.get("EnumValues", [])))


def _only(item: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(item) - known):
        raise DefinitionError(f"{where}: unknown field {', '.join(unknown)}")
