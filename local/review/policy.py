"""Findings of the policy pack on a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local.deploy.project import load_stage
from local.preview import PreviewedResource
from local.review.snapshot import Snapshot
from policies.model import Finding, Resource, Stage
from policies.pack import evaluate, suppressions


def policy_findings(snapshot: Snapshot) -> list[Finding]:
    """Findings without a suppression; none of a stage that does not exist."""
    if not snapshot.exists:
        return []
    found, _ = evaluate(pack_resources(snapshot.resources), pack_stage(snapshot), suppressions())
    return found


def stage_findings(stage: str, resources: Sequence[PreviewedResource], root: Path) -> list[Finding]:
    """Findings on a previewed stage."""
    settings = load_stage(stage, root)
    protects = settings.config.get(f"{settings.project}:protect_data") == "true"
    facts = Stage(name=stage, protects_data=protects, tags=settings.default_tags)
    found, _ = evaluate(pack_resources(resources), facts, suppressions())
    return found


def pack_stage(snapshot: Snapshot) -> Stage:
    """The stage of a snapshot for the rules."""
    return Stage(
        name=snapshot.stage,
        protects_data=bool(snapshot.effective.get("ncf:protect_data")),
        tags=snapshot.default_tags,
    )


def pack_resources(resources: Sequence[PreviewedResource]) -> list[Resource]:
    """Previewed resources for the rules, without components."""
    return [
        Resource(
            type=each.type,
            name=each.name,
            urn=each.urn,
            inputs=each.inputs,
            protect=each.protect,
            depends_on=each.depends_on,
        )
        for each in resources
        if not each.is_component
    ]
