"""Resources and stages as the rules see them, rules and findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource that a program registers.

    Attributes:
        type: type token, such as `aws:s3/bucket:Bucket`.
        inputs: inputs by wire name (camelCase).
        depends_on: input name to the URNs of the resources whose outputs the input contains.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    protect: bool = False
    depends_on: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The stage that the resources belong to.

    Attributes:
        protects_data: `ncf:protect_data`: data outlives mistakes, and sizes are those of production.
        tags: default tags of the provider.
    """

    name: str
    protects_data: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource that breaks a rule; the resource is the stage's name for a missing resource."""

    rule: str
    resource: str
    message: str


Broken = tuple[Resource | None, str]
"""A resource, or None for the stage, and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over all resources of a stage."""

    name: str
    description: str
    check: Callable[[Sequence[Resource], Stage], Iterable[Broken]]

    def findings(self, resources: Sequence[Resource], stage: Stage) -> Iterator[Finding]:
        """Resources that break the rule."""
        for resource, message in self.check(resources, stage):
            yield Finding(
                rule=self.name, resource=label(resource) if resource else stage.name, message=message
            )


def label(resource: Resource) -> str:
    """Class and name: `Bucket data`."""
    return f"{resource.type.rpartition(':')[2]} {resource.name}"


def of(resources: Iterable[Resource], *classes: str) -> list[Resource]:
    """Resources whose type has one of these class names."""
    return [
        each for each in resources if each.type.startswith("aws:") and each.type.rpartition(":")[2] in classes
    ]


def statements(document: Any) -> list[dict[str, Any]]:
    """Statements of a policy document; none of a document that is not known yet."""
    if not isinstance(document, str):
        return []
    found = json.loads(document).get("Statement", [])
    return found if isinstance(found, list) else [found]


def values(item: Any) -> list[str]:
    """A value or a list of values as a list."""
    return [str(each) for each in (item if isinstance(item, list) else [item])]


def is_set(resource: Resource, key: str) -> bool:
    """Whether an input has a value, or gets one from another resource."""
    return bool(resource.inputs.get(key) or resource.depends_on.get(key))


def role_statements(resources: Iterable[Resource]) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Statements of the inline policies of roles, each with its policy."""
    for policy in of(resources, "RolePolicy"):
        for statement in statements(policy.inputs.get("policy")):
            yield policy, statement


def attached(resources: Iterable[Resource], class_name: str, key: str, to: Resource) -> list[Resource]:
    """Resources of a class whose input `key` contains an output of another resource."""
    return [each for each in of(resources, class_name) if to.urn in each.depends_on.get(key, ())]


def without(
    resources: Sequence[Resource],
    class_name: str,
    attached_class: str,
    key: str,
    is_enough: Callable[[Resource], bool] = lambda _: True,
) -> Iterator[Resource]:
    """Resources of a class without an attached resource of another class.

    Args:
        class_name: class of the resources.
        attached_class: class of what has to be attached.
        key: its input that contains an output of the resource.
        is_enough: whether an attached resource counts.
    """
    for resource in of(resources, class_name):
        if not any(is_enough(each) for each in attached(resources, attached_class, key, resource)):
            yield resource
