"""The rules as a policy pack of Pulumi: `pulumi preview --policy-pack policies`.

Pulumi runs this file in the environment of `policies/requirements.txt`, and calls it for each resource with
its inputs, then for the stack with all resources and their dependencies. The resources of the stack have
outputs instead of inputs, so that the inputs are kept from the first calls.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # Pulumi runs this file as a script

from policies.model import Resource, Rule, Stage, label  # noqa: E402
from policies.pack import RULES, suppressions  # noqa: E402

DEFAULTS = "__defaults"  # names of the inputs that the provider has set, such as generated names

_inputs: dict[str, dict[str, Any]] = {}


def keep_inputs(args: ResourceValidationArgs, _: ReportViolation) -> None:
    """Keep the inputs of a resource for the rules, which look at the whole stack."""
    _inputs[args.urn] = known(args.props)


def known(value: Any) -> Any:
    """A value without what is not known in a preview, and without the provider's defaults."""
    if isinstance(value, Mapping):
        left_out = {DEFAULTS, *value.get(DEFAULTS, ())}
        return {key: item for key in value if key not in left_out and (item := _item(value, key)) is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = [_item(value, index) for index in range(len(value))]
        return [item for item in items if item is not None]
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return known(container[key])
    except UnknownValueError:
        return None


def validate(rule: Rule, args: StackValidationArgs, report: ReportViolation) -> None:
    """Report what breaks a rule."""
    resources = [
        Resource(
            type=each.resource_type,
            name=each.name,
            urn=each.urn,
            inputs=_inputs.get(each.urn, {}),
            protect=bool(each.opts.protect),
            depends_on={key: [one.urn for one in found] for key, found in each.property_dependencies.items()},
        )
        for each in args.resources
        if each.resource_type.startswith("aws:")
    ]
    if not resources:
        return
    urns, wanted = {label(each): each.urn for each in resources}, suppressions()
    for finding in rule.findings(resources, stage_of(resources[0].urn)):
        if not any(each.explains(finding) for each in wanted):
            report(f"{finding.resource}: {finding.message}", urns.get(finding.resource))


def stage_of(urn: str) -> Stage:
    """The stage of a resource, from its stack's file."""
    name = urn.split(":")[2]
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    tags = config.get("aws:defaultTags", {}).get("tags", {})
    return Stage(name=name, protects_data=config["ncf:protect_data"], tags=tags)


def main() -> None:
    PolicyPack(
        name="ncf",
        enforcement_level=EnforcementLevel.MANDATORY,
        policies=[
            ResourceValidationPolicy(
                name="inputs", description="Keeps the inputs of resources; no rule.", validate=keep_inputs
            ),
            *(
                StackValidationPolicy(
                    name=rule.name, description=rule.description, validate=partial(validate, rule)
                )
                for rule in RULES
            ),
        ],
    )


if __name__ == "__main__":
    main()
