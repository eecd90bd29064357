"""Changes that `pulumi up` would make to each resource, from two snapshots of a stage."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from local.preview import PreviewedResource
from local.replacements.table import Effect, effect
from local.review.compare import Leaf, input_path, leaves
from local.review.snapshot import Snapshot

NEW_REFERENCE = "(of its replacement)"


class Kind(IntEnum):
    """Kind of a change, most severe first."""

    REPLACED = 0
    DELETED = 1
    CREATED = 2
    UPDATED = 3
    IGNORED = 4


@dataclass(frozen=True, kw_only=True)
class InputChange:
    """A changed input.

    Attributes:
        path: path of the value, with list positions.
        effect: effect of the change on the resource.
        cause: name of the replaced resource whose outputs the input contains.
    """

    path: str
    old: Any
    new: Any
    effect: Effect
    cause: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """Change of one resource.

    Attributes:
        before, after: the resource in the two versions; None if it does not exist.
        ignored: changed inputs that the program tells Pulumi to ignore (`ignore_changes`).
        renamed: the program deletes a resource and creates an equal one of another name.
    """

    kind: Kind
    before: PreviewedResource | None
    after: PreviewedResource | None
    inputs: tuple[InputChange, ...] = ()
    ignored: tuple[InputChange, ...] = ()
    renamed: bool = False

    @property
    def resource(self) -> PreviewedResource:
        """The resource, as it is before the change if it exists."""
        return typing.cast(PreviewedResource, self.before or self.after)

    @property
    def is_consequence(self) -> bool:
        """Whether only the replacement of other resources replaces this one."""
        return bool(self.forced_by) and all(each.cause is not None for each in self.forced_by)

    @property
    def forced_by(self) -> tuple[InputChange, ...]:
        """Inputs that force the replacement."""
        return tuple(each for each in self.inputs if each.effect is not Effect.UPDATES)


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """Changes of a stage, worst first."""
    old, new = before.custom(), after.custom()
    pairs = dict(_pairs(old, after))
    found = {urn: _compared(old[pairs[urn]], new[urn], before, after) for urn in pairs}
    _propagate(found, new)
    result = [change for change in found.values() if change.inputs or change.ignored]
    created = [Change(kind=Kind.CREATED, before=None, after=new[urn]) for urn in new if urn not in pairs]
    kept = set(pairs.values())
    deleted = [Change(kind=Kind.DELETED, before=old[urn], after=None) for urn in old if urn not in kept]
    result += _join_renamed(deleted, created)
    return sorted(result, key=lambda each: (each.kind, each.resource.type, each.resource.name))


def _pairs(old: Mapping[str, PreviewedResource], after: Snapshot) -> Iterator[tuple[str, str]]:
    """URN of each resource of both versions, and its URN in the old version, which an alias may name."""
    earlier: dict[str, tuple[str, ...]] = {}
    for resource in after.resources:  # parents first
        earlier[resource.urn] = (*resource.aliases, *_inherited(resource, earlier.get(resource.parent, ())))
        if resource.is_component:
            continue
        for urn in (resource.urn, *earlier[resource.urn]):
            if urn in old:
                yield resource.urn, urn
                break


def _inherited(resource: PreviewedResource, of_parent: tuple[str, ...]) -> Iterator[str]:
    """URNs that follow from the aliases of the parent (Pulumi docs, resource option `aliases`)."""
    head, _, type_ = resource.urn.rpartition("::")[0].rpartition("$")
    for alias in of_parent:
        *project, parent_type, parent_name = alias.split("::")
        own_parent = resource.parent.rpartition("::")[2]
        name = re.sub(f"^{re.escape(own_parent)}", parent_name, resource.name)
        if head:
            yield "::".join((*project, f"{parent_type}${type_}", name))


def _compared(old: PreviewedResource, new: PreviewedResource, before: Snapshot, after: Snapshot) -> Change:
    differences = [*leaves(old.inputs, new.inputs), *_provider_leaves(new.type, before, after)]
    found = [
        InputChange(path=leaf.path, old=leaf.old, new=leaf.new, effect=_effect(new, leaf))
        for leaf in differences
    ]
    if old.protect != new.protect:
        found.append(InputChange(path="protect", old=old.protect, new=new.protect, effect=Effect.UPDATES))
    ignored = tuple(each for each in found if _is_below(each.path, new.ignore_changes))
    inputs = tuple(each for each in found if each not in ignored)
    return Change(kind=_kind(inputs), before=old, after=new, inputs=inputs, ignored=ignored)


def _is_below(path: str, chosen: tuple[str, ...]) -> bool:
    """Whether a path is one of the chosen ones, which may be `*` or have `[*]`, or a field of it."""
    plain, wanted = input_path(path), [input_path(each) for each in chosen]
    return any(each in ("*", plain) or plain.startswith(f"{each}.") for each in wanted)


def _provider_leaves(type_token: str, before: Snapshot, after: Snapshot) -> Iterator[Leaf]:
    """Changes of the provider's settings that a resource of this type has: default tags and region."""
    if type_token in after.taggable:
        yield from leaves(before.default_tags, after.default_tags, "tags")
    if type_token in after.regional and before.region != after.region:
        yield Leaf("region", before.region, after.region)


def _effect(resource: PreviewedResource, leaf: Leaf) -> Effect:
    if _is_below(leaf.path, resource.replace_on_changes):
        return Effect.REPLACES
    return effect(resource.type, input_path(leaf.path))


def _kind(inputs: tuple[InputChange, ...]) -> Kind:
    """An input that the table does not know counts as replacing."""
    if not inputs:
        return Kind.IGNORED
    return Kind.REPLACED if any(each.effect is not Effect.UPDATES for each in inputs) else Kind.UPDATED


def _propagate(found: dict[str, Change], new: Mapping[str, PreviewedResource]) -> None:
    """Add the inputs that contain outputs of replaced resources; some of them force further replacements."""
    waiting = [urn for urn, change in found.items() if change.kind is Kind.REPLACED]
    while waiting:
        replaced = waiting.pop()
        for urn, resource in new.items():
            if urn not in found or found[urn].before is None:
                continue
            added = tuple(_references(resource, new[replaced], found[urn].inputs))
            if not added:
                continue
            was = found[urn].kind
            inputs = found[urn].inputs + added
            found[urn] = replace(found[urn], inputs=inputs, kind=_kind(inputs))
            if found[urn].kind is Kind.REPLACED and was is not Kind.REPLACED:
                waiting.append(urn)


def _references(
    resource: PreviewedResource, replaced: PreviewedResource, known: tuple[InputChange, ...]
) -> Iterator[InputChange]:
    """Inputs that contain an output of a replaced resource: `${name.output}`, or `${name}` in an ARN."""
    pattern = re.compile(r"\$\{" + re.escape(replaced.name) + r"[.}]")
    ignored = {path.partition("[")[0].partition(".")[0] for path in resource.ignore_changes}
    for name, urns in resource.depends_on.items():
        if replaced.urn not in urns or name in ignored:
            continue
        for path, text in _texts(resource.inputs.get(name), name):
            if pattern.search(text) and not any(
                each.path == path and each.cause == replaced.name for each in known
            ):
                effect_ = _effect(resource, Leaf(path, text, text))
                yield InputChange(path=path, old=text, new=NEW_REFERENCE, effect=effect_, cause=replaced.name)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def _join_renamed(deleted: list[Change], created: list[Change]) -> list[Change]:
    """Pairs of a deleted and a created resource that differ only in names count as one replacement."""
    names = _new_names(deleted, created)
    waiting: dict[str, list[Change]] = {}
    for change in created:
        waiting.setdefault(_identity(change.resource, {}), []).append(change)
    result: list[Change] = []
    for change in deleted:
        same = waiting.get(_identity(change.resource, names), [])
        if same:
            twin = same.pop(0)
            result.append(Change(kind=Kind.REPLACED, before=change.before, after=twin.after, renamed=True))
        else:
            result.append(change)
    return result + [change for same in waiting.values() for change in same]


def _new_names(deleted: list[Change], created: list[Change]) -> dict[str, str]:
    """Old names to new names of the types of which one resource is deleted and one is created."""
    names: dict[str, str] = {}
    for type_ in {change.resource.type for change in deleted}:
        old, new = (
            [each.resource.name for each in side if each.resource.type == type_]
            for side in (deleted, created)
        )
        if len(old) == len(new) == 1:
            names[old[0]] = new[0]
    return names


def _identity(resource: PreviewedResource, names: Mapping[str, str]) -> str:
    """Type, parent type and inputs, with old names replaced by new ones."""
    text = json.dumps([resource.type, resource.parent.split("::")[2:3], resource.inputs], sort_keys=True)
    return renamed_references(text, names)


def renamed_references(text: str, names: Mapping[str, str]) -> str:
    """A text in which the references to renamed resources have the new names."""
    return re.sub(r"(?<=\$\{)[^.}]+(?=[.}])", lambda match: names.get(match[0], match[0]), text)
