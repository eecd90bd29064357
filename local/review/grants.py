"""Grants of a stage's policies (principal, action, resource), and their changes in words."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.preview import PreviewedResource
from local.review.difference import renamed_references
from local.review.snapshot import Snapshot

ALL = "*"
# Type to the input with its policy and the input that names the resource of the policy.
RESOURCE_POLICIES = {
    "aws:s3/bucketPolicy:BucketPolicy": "bucket",
    "aws:sqs/queuePolicy:QueuePolicy": "queueUrl",
    "aws:sns/topicPolicy:TopicPolicy": "arn",
    "aws:kms/keyPolicy:KeyPolicy": "keyId",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "serviceName",
}
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT, PERMISSION = (
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:lambda/permission:Permission",
)


@dataclass(frozen=True, order=True, kw_only=True)
class Grant:
    """One action of one principal on one resource.

    Attributes:
        who: a role of the stage, a service, an account, or everybody.
        condition: canonical JSON of the statement's condition; empty without one.
        trust: who may act as a role.
        denies: the statement is a Deny.
    """

    who: str
    action: str
    resource: str
    condition: str = ""
    trust: bool = False
    denies: bool = False


@dataclass(frozen=True, kw_only=True)
class GrantChange:
    """Grants that appear or disappear together.

    Attributes:
        widens: a principal may do more than before.
        sentence: the change in words.
    """

    widens: bool
    sentence: str


def grants(
    snapshot: Snapshot, renamed: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
) -> set[Grant]:
    """All grants of a stage's roles and resource policies.

    Args:
        renamed: names of resources to the names that the grants have instead, so that a rename is no change.
        tags: default tags that conditions on the stage's own tags have instead, for the same reason.
    """
    names = renamed or {}
    found: set[Grant] = set()
    for resource in snapshot.custom().values():
        inputs = json.loads(renamed_references(json.dumps(resource.inputs), names))
        name = names.get(resource.name, resource.name)
        found |= set(_of(replace(resource, name=name, inputs=inputs)))
    return {
        replace(each, condition=_retagged(each.condition, snapshot.default_tags, tags or {}))
        for each in found
    }


def _retagged(condition: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """A condition in which the stage's default tags have their new values."""
    for tag in sorted(old.keys() & new.keys()):
        key = f'Tag/{tag}": '
        condition = condition.replace(key + json.dumps(old[tag]), key + json.dumps(new[tag]))
    return condition


def _of(resource: PreviewedResource) -> Iterator[Grant]:
    inputs = resource.inputs
    if resource.type == ROLE:
        for grant in _statements(inputs.get("assumeRolePolicy"), None):
            yield replace(grant, resource=f"role {resource.name}", trust=True)
    elif resource.type == ROLE_POLICY:
        yield from _statements(inputs.get("policy"), f"role {_name(inputs.get('role'))}")
    elif resource.type == ATTACHMENT:
        policy = str(inputs.get("policyArn"))
        yield Grant(
            who=f"role {_name(inputs.get('role'))}",
            action=f"policy {policy.rpartition('/')[2]}",
            resource=ALL,
        )
    elif resource.type == PERMISSION:
        condition = {key: inputs[key] for key in ("sourceArn", "sourceAccount") if key in inputs}
        yield Grant(
            who=str(inputs.get("principal")),
            action=str(inputs.get("action")),
            resource=f"function {_name(inputs.get('function'))}",
            condition=_canonical(condition),
        )
    elif resource.type in RESOURCE_POLICIES and "policy" in inputs:
        owner = _name(inputs.get(RESOURCE_POLICIES[resource.type]))
        for grant in _statements(inputs["policy"], None):
            yield replace(grant, resource=owner if grant.resource == ALL else grant.resource)


def _statements(document: Any, who: str | None) -> Iterator[Grant]:
    """Grants of a policy document; `who` is the principal of an identity policy."""
    statements = json.loads(document)["Statement"] if isinstance(document, str) else []
    for statement in statements if isinstance(statements, list) else [statements]:
        for principal in [who] if who else _principals(statement):
            for action in _list(statement.get("Action", f"not {statement.get('NotAction')}")):
                for resource in _list(statement.get("Resource", ALL)):
                    yield Grant(
                        who=principal,
                        action=action,
                        resource=resource,
                        condition=_canonical(statement.get("Condition")),
                        denies=statement["Effect"] == "Deny",
                    )


def _principals(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal", ALL)
    if isinstance(principal, str):
        return ["everybody" if principal == ALL else principal]
    return ["everybody" if name == ALL else name for names in principal.values() for name in _list(names)]


def _list(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _canonical(condition: Any) -> str:
    return json.dumps(condition, sort_keys=True) if condition else ""


def _name(reference: Any) -> str:
    """`data` of `${data.bucket}`; other texts stay."""
    found = re.fullmatch(r"\$\{([^.}]+)(\.\w+)?\}", str(reference))
    return found[1] if found else str(reference)


def grant_changes(before: set[Grant], after: set[Grant], deleted: Container[str] = ()) -> list[GrantChange]:
    """Changes of grants in words, those that widen first.

    Args:
        deleted: names of deleted resources; what was denied on them is no change.
    """
    added = after - before
    gone = {each for each in before - after if not (each.denies and _last_name(each.resource) in deleted)}
    found: list[GrantChange] = []
    for new in sorted(added):
        twins = sorted(old for old in gone if replace(old, condition="") == replace(new, condition=""))
        if twins:
            gone.discard(twins[0])
            added.discard(new)
            found.append(_other_condition(twins[0], new))
    found += [_grouped(group, appears=True) for group in _groups(added)]
    found += [_grouped(group, appears=False) for group in _groups(gone)]
    return sorted(found, key=lambda each: (not each.widens, "everybody" not in each.sentence, each.sentence))


def _last_name(resource: str) -> str:
    """Name of the resource that an ARN refers to: `data` of `arn:aws:s3:::${data}/*`."""
    names = re.findall(r"\$\{([^.}]+)", resource)
    return names[-1] if names else resource


def _groups(found: Iterable[Grant]) -> list[list[Grant]]:
    """Grants that differ only in the action."""
    groups: dict[Grant, list[Grant]] = {}
    for grant in sorted(found):
        groups.setdefault(replace(grant, action=""), []).append(grant)
    return list(groups.values())


def _grouped(group: list[Grant], *, appears: bool) -> GrantChange:
    first = group[0]
    what = ", ".join(f"{words(grant.action)} (`{grant.action}`)" for grant in group)
    condition = f", if {_condition_words(first.condition)}" if first.condition else ""
    if first.trust:
        verb = "may newly act as" if appears else "may no longer act as"
        return GrantChange(widens=appears, sentence=f"trust: {first.who} {verb} {first.resource}{condition}")
    verbs = {
        (False, True): "may newly",
        (False, False): "may no longer",
        (True, True): "is newly denied to",
        (True, False): "is no longer denied to",
    }
    verb = verbs[first.denies, appears]
    return GrantChange(
        widens=appears is not first.denies,
        sentence=f"{first.who} {verb} {what} on `{first.resource}`{condition}",
    )


def _other_condition(old: Grant, new: Grant) -> GrantChange:
    """A grant under another condition; it widens unless that has all of the old one and more."""
    narrowed = _keys(old.condition) < _keys(new.condition)
    widens = narrowed if new.denies else not narrowed
    verb = "act as" if new.trust else f"{words(new.action)} (`{new.action}`) on"
    before, after = (_condition_words(each.condition) if each.condition else "always" for each in (old, new))
    may = "is denied to" if new.denies else "may"
    return GrantChange(
        widens=widens,
        sentence=f"{new.who} {may} {verb} `{new.resource}` under another condition: {after} "
        f"(before: {before})",
    )


def _keys(condition: str) -> set[tuple[str, str, str]]:
    operators = json.loads(condition) if condition else {}
    return {
        (operator, key, json.dumps(value, sort_keys=True))
        for operator, keys in operators.items()
        for key, value in (keys.items() if isinstance(keys, dict) else [("", keys)])
    }


def _condition_words(condition: str) -> str:
    return " and ".join(
        f"{key or 'it'} {operator if key else ''} {value}".replace("  ", " ")
        if key
        else f"{operator} is {value}"
        for operator, key, value in sorted(_keys(condition))
    )


def words(action: str) -> str:
    """An action in words: `get object` of `s3:GetObject`."""
    if action.startswith("policy "):
        return f"everything in the managed {action}"
    if action == ALL:
        return "do everything"
    service, _, verb = action.partition(":")
    if verb == ALL:
        return f"do everything in {service}"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", verb).lower() or action
