"""The review of a change: differences, permissions, configuration and costs, and the verdict, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.preview import short_type
from local.replacements.table import Effect
from local.review import cost
from local.review.compare import input_path
from local.review.configuration import ConfigChange, config_changes
from local.review.difference import Change, Kind, changes
from local.review.grants import GrantChange, grant_changes, grants
from local.review.losses import DATA, is_guarded, loses_protection, losses
from local.review.policy import policy_findings
from local.review.snapshot import Snapshot
from policies.model import Finding


class Risk(StrEnum):
    """Risks that `--fail-on` names."""

    REPLACE_PROTECTED = "replace-protected"
    POLICY = "policy"
    PERMISSIONS = "permissions"


@dataclass(frozen=True, kw_only=True)
class Review:
    """Review of a stage.

    Attributes:
        base: commit that the working tree is compared with.
        costs: lines per month in the two versions.
        findings: findings of the policy pack on the working tree, without the suppressed ones.
    """

    stage: str
    base: str
    exists: tuple[bool, bool]
    changes: list[Change]
    grants: list[GrantChange]
    config: list[ConfigChange]
    costs: tuple[list[cost.Line], list[cost.Line]]
    findings: list[Finding]

    def of(self, kind: Kind) -> list[Change]:
        """Changes of a kind: protected resources, causes before consequences, losses of data."""
        found = [change for change in self.changes if change.kind is kind]
        return sorted(
            found,
            key=lambda each: (not is_guarded(each), each.is_consequence, each.resource.type not in DATA),
        )

    def usd(self) -> tuple[float, float]:
        """US dollars per month in the two versions."""
        before, after = (sum(line.usd for line in lines) for lines in self.costs)
        return before, after

    def risks(self) -> set[Risk]:
        """Risks of the change."""
        found = set()
        if any(is_guarded(change) or loses_protection(change) for change in self.changes):
            found.add(Risk.REPLACE_PROTECTED)
        if self.findings:
            found.add(Risk.POLICY)
        if any(change.widens for change in self.grants):
            found.add(Risk.PERMISSIONS)
        return found


def review(stage: str, base: str, before: Snapshot, after: Snapshot) -> Review:
    """Review of the change from one snapshot of a stage to another."""
    usage = cost.usage_of(after)
    found = changes(before, after)
    renamed = {
        each.before.name: each.after.name for each in found if each.renamed and each.before and each.after
    }
    return Review(
        stage=stage,
        base=base,
        exists=(before.exists, after.exists),
        changes=found,
        grants=grant_changes(
            grants(before, renamed, after.default_tags), grants(after), _names(found, Kind.DELETED)
        ),
        config=config_changes(before, after),
        costs=(cost.lines(before, usage), cost.lines(after)),
        findings=policy_findings(after),
    )


def _names(found: Sequence[Change], kind: Kind) -> set[str]:
    return {each.resource.name for each in found if each.kind is kind}


def verdict(found: Review) -> list[str]:
    """One line per finding or group of findings, worst first."""
    lines = [*_verdict(found)]
    return lines or ["no difference: pulumi up changes nothing"]


def _verdict(found: Review) -> Iterator[str]:
    if not found.exists[0]:
        yield f"the stage {found.stage} is new: {_counts(found.of(Kind.CREATED))} created"
    elif not found.exists[1]:
        yield f"the stage {found.stage} is gone: its resources stay until pulumi destroy"
    for change in (each for each in found.changes if is_guarded(each)):
        yield f"{headline(change)}: protected, pulumi up refuses"
    for change in (each for each in found.changes if loses_protection(each)):
        yield f"{label(change)} is no longer protected"
    for kind in (Kind.REPLACED, Kind.DELETED):
        with_data = [each for each in found.of(kind) if not is_guarded(each)]
        yield from _headlines(with_data)
    widened = [change for change in found.grants if change.widens]
    if found.exists[0] and widened:
        more = f" (and {len(widened) - 1} more)" if len(widened) > 1 else ""
        yield f"permission: {widened[0].sentence}{more}"
    for finding in found.findings:
        yield f"policy {finding.rule}: {finding.resource}: {finding.message}"
    if found.exists[0] and found.of(Kind.CREATED):
        yield from _headlines(found.of(Kind.CREATED))
    updated = found.of(Kind.UPDATED)
    if updated:
        yield _updates(updated)
    yield from _ignored(found.changes)
    if found.config and not found.changes:
        yield f"configuration: {len(found.config)} keys changed, no resource"
    before, after = found.usd()
    if found.exists[0] and abs(after - before) >= 0.005:
        yield f"cost: {after - before:+.2f} US dollars per month ({before:.2f} to {after:.2f})"


def headline(change: Change) -> str:
    """Change of a resource in one line, with the first reason or loss."""
    if change.renamed:
        new = change.after or change.resource
        return f"renamed, so replaced: {label(change)} to {new.name}"
    text = f"{change.kind.name.lower()}: {label(change)}"
    if change.kind is Kind.REPLACED:
        forced = change.forced_by
        unsure = "" if any(each.effect is Effect.REPLACES for each in forced) else "may be "
        text = f"{unsure}{text} (by {', '.join(dict.fromkeys(input_path(each.path) for each in forced))})"
    return text


def _headlines(found: Sequence[Change]) -> Iterator[str]:
    """The first lines; the rest is counted."""
    for change in found[:3]:
        lost = next((text for text in losses(change) if text.startswith("lost")), "")
        yield headline(change) + (f"; {lost}" if lost else "")
    if len(found) > 3:
        yield f"{found[0].kind.name.lower()}: {_counts(found[3:])} more"


def _ignored(found: Sequence[Change]) -> Iterator[str]:
    """Changes of the program that pulumi up does not make."""
    for change in found:
        for each in change.ignored:
            values = f"{short(each.old)} to {short(each.new)}"
            yield f"not applied (ignore_changes): {each.path} of {label(change)}: {values}"


def _updates(updated: Sequence[Change]) -> str:
    """The input that most updates share, and the number of updates."""
    own = [(change, each) for change in updated for each in change.inputs if each.cause is None]
    if not own:
        return f"updated: references of {_counts(updated)} to what is replaced"
    (path, old, new), count = Counter(
        (each.path, str(each.old), str(each.new)) for _, each in own
    ).most_common(1)[0]
    first = next(change for change, each in own if each.path == path)
    where = label(first) if count == 1 else f"{count} resources"
    rest = f" (and {len(updated) - count} more)" if len(updated) > count else ""
    return f"updated: {path} of {where}: {short(old)} to {short(new)}{rest}"


def label(change: Change) -> str:
    """Type and name: `aws.s3.Bucket data`."""
    return f"{short_type(change.resource.type)} {change.resource.name}"


def _counts(found: Sequence[Change]) -> str:
    return f"{len(found)} resource{'s' if len(found) != 1 else ''}"


def short(value: Any, limit: int = 120) -> str:
    """A value on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
