"""Example configurations and states of a resource type for a provider, by its schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.replacements.plugin import UNKNOWN

SINGLE, MAP = 1, 4  # protocol 5, NestedBlock.NestingMode
# Values before and after a change. Providers compare documents, times and numbers by their meaning, so that
# only a pair of the right kind is a change.
STRINGS: Sequence[tuple[str, str]] = (
    ("a", "b"),
    ('{"Version":"2012-10-17","Statement":[]}', '{"Version":"2012-10-17","Statement":[{"Effect":"Deny"}]}'),
    ("10.0.0.0/16", "10.1.0.0/16"),
    ("1", "2"),
    ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
    ("STANDARD_IA", "GLACIER"),  # storage classes of S3
    ("varies_by_storage_class", "all_storage_classes_128K"),
)
# Arguments without which a provider refuses every change of a type.
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "aws_cloudwatch_metric_alarm": {"statistic": "Sum", "metric_name": "a"},
    "aws_lambda_function": {
        "handler": "a.b",
        "runtime": "python3.12",
        "package_type": "Zip",
        "filename": "a.zip",
    },
    "aws_sns_topic_subscription": {"filter_policy": "{}"},
}
# Computed arguments for which providers refuse a value unless others are set.
EMPTY = {"fifo_throughput_scope"}


@dataclass(frozen=True)
class Setting:
    """Arguments of an example: one path, and the values that every example of the type needs.

    Attributes:
        path: argument or block; its value is one of a pair of `STRINGS`, or a number or flag for it.
        place: 0 for the first value of the pair, 1 for the second, None to leave the path out.
    """

    path: tuple[str, ...]
    pair: tuple[str, str]
    place: int | None
    needed: Mapping[str, Any]

    def below(self) -> Setting:
        """The same for the block that the path starts with."""
        return replace(self, path=self.path[1:], needed={})


def config(block: Any, setting: Setting) -> dict[str, Any]:
    """Configuration with the required arguments and one path."""
    found: dict[str, Any] = {}
    for attribute in block.attributes:
        kind, name = json.loads(attribute.type), attribute.name
        if setting.path == (name,):
            place = setting.place
            found[name] = None if place is None else example(kind, setting.pair[place], place + 1)
        else:
            required = example(kind, setting.pair[0], 1) if attribute.required else None
            found[name] = setting.needed.get(name, required)
    for nested in block.block_types:
        found[nested.type_name] = _nested(nested, setting)
    return found


def _nested(nested: Any, setting: Setting) -> Any:
    on_path = setting.path[:1] == (nested.type_name,)
    left_out = setting.path == (nested.type_name,) and setting.place is None
    if left_out or not (on_path or nested.min_items):
        return None if nested.nesting == SINGLE else {} if nested.nesting == MAP else []
    item = config(nested.block, setting.below() if on_path else replace(setting, path=(), needed={}))
    if nested.nesting == SINGLE:
        return item
    return {"key": item} if nested.nesting == MAP else [item]


def example(kind: Any, text: str, number: int) -> Any:
    """A value of a type, such as `"string"`, `["list", "string"]` or `["object", {…}]`."""
    match kind:
        case "string":
            return text
        case "number":
            return number
        case "bool":
            return number != 1
        case ["map", inner]:
            return {"key": example(inner, text, number)}
        case ["list" | "set", inner]:
            return [example(inner, text, number)]
        case ["object", dict(fields)]:
            return {name: example(inner, text, number) for name, inner in fields.items()}
    raise ValueError(f"the type {kind} is unknown")


def created(block: Any, planned: Mapping[str, Any]) -> dict[str, Any]:
    """State after a planned creation: the values that AWS computes are examples."""
    attributes = {each.name: each for each in block.attributes}
    nested = {each.type_name: each.block for each in block.block_types}
    return {
        name: _computed(value, attributes[name]) if name in attributes else _blocks(value, nested[name])
        for name, value in planned.items()
    }


def _computed(value: Any, attribute: Any) -> Any:
    text = "" if attribute.name in EMPTY else "computed"
    return example(json.loads(attribute.type), text, 7) if value == UNKNOWN else value


def _blocks(value: Any, block: Any) -> Any:
    if value == UNKNOWN:
        return []
    if isinstance(value, list):
        return [created(block, item) for item in value]
    return created(block, value) if isinstance(value, dict) else value


def proposed(block: Any, wanted: Mapping[str, Any], prior: Mapping[str, Any]) -> dict[str, Any]:
    """State that Terraform proposes: the configuration, and earlier values that AWS has computed."""
    computed = {each.name for each in block.attributes if each.computed}
    return {
        name: prior[name] if value is None and name in computed else value for name, value in wanted.items()
    }


def nothing(block: Any) -> dict[str, Any]:
    """State of a resource that does not exist yet."""
    attributes = {each.name: None for each in block.attributes}
    return attributes | {each.type_name: None if each.nesting == SINGLE else [] for each in block.block_types}
