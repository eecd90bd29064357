"""Preview of the resources that `pulumi up` would register for a stage, without AWS and without credentials.

Outputs that AWS computes are shown as references to their resource, such as `${data.arn}`, so that documents
that contain them, such as policies, stay readable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from local.deploy import program, schema, values
from local.deploy.monitor import Created, Monitor, Registration
from local.deploy.project import load_stage

ROOT = Path(__file__).resolve().parent.parent
# ARNs that are not arn:aws:<service>:<region>:<account>:<kind>/<name>, by module or service of the type.
ARN_FORMS = {
    "cloudwatch/eventRule": "arn:aws:events:{region}:${{account}}:rule/{name}",
    "cloudwatch/logGroup": "arn:aws:logs:{region}:${{account}}:log-group:{name}",
    "sagemaker/endpointConfiguration": ("arn:aws:sagemaker:{region}:${{account}}:endpoint-config/{name}"),
    "cloudwatch/metricAlarm": "arn:aws:cloudwatch:{region}:${{account}}:alarm:{name}",
    "iam": "arn:aws:iam::${{account}}:{kind}/{name}",
    "lambda": "arn:aws:lambda:{region}:${{account}}:{kind}:{name}",
    "s3": "arn:aws:s3:::{name}",
    "sns": "arn:aws:sns:{region}:${{account}}:{name}",
    "sqs": "arn:aws:sqs:{region}:${{account}}:{name}",
}
USUAL_ARN_FORM = "arn:aws:{service}:{region}:${{account}}:{kind}/{name}"


@dataclass(frozen=True, kw_only=True)
class PreviewedResource:
    """A component or resource of a stage.

    Attributes:
        parent: URN of the parent; empty for the stack.
        inputs: JSON values; secrets are masked, assets are shown as path, size and SHA-256.
        depends_on: input name to the URNs of the resources whose outputs the input contains.
        protect: Pulumi refuses to delete or replace the resource.
        aliases: earlier URNs.
    """

    type: str
    name: str
    urn: str
    parent: str
    inputs: dict[str, Any]
    is_component: bool
    depends_on: dict[str, list[str]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    aliases: tuple[str, ...] = ()


def preview(
    stage: str, root: Path = ROOT, *, secret: Callable[[Any], Any] = lambda _: values.MASK
) -> list[PreviewedResource]:
    """Resources that the program of a stage registers, parents before their children.

    Args:
        secret: what is shown instead of a secret value.

    Raises:
        ProjectError: the stage does not exist (the message lists the existing ones) or its configuration is
            invalid.
        ProgramError: the program fails or looks up a resource.
    """
    settings = load_stage(stage, root)
    monitor = Monitor(
        project=settings.project,
        stack=settings.name,
        create=lambda registration: _computed(registration, settings.region),
    )
    program.run(settings, monitor)
    resources = [
        PreviewedResource(
            type=registration.type,
            name=registration.name,
            urn=registration.urn,
            parent=registration.parent,
            inputs=_shown(values.decode(registration.properties, secret=secret), root),
            is_component=not registration.is_custom,
            depends_on={key: sorted(urns) for key, urns in sorted(registration.depends_on.items()) if urns},
            protect=registration.protect,
            ignore_changes=registration.ignore_changes,
            replace_on_changes=registration.replace_on_changes,
            delete_before_replace=registration.delete_before_replace,
            aliases=registration.aliases,
        )
        for registration in monitor.registrations.values()
    ]
    return _parents_first(resources)


def to_json(resources: list[PreviewedResource]) -> list[dict[str, Any]]:
    """Type, name, urn, parent and inputs of each resource, as JSON values."""
    return [
        {key: getattr(resource, key) for key in ("type", "name", "urn", "parent", "inputs")}
        for resource in resources
    ]


def render_tree(resources: list[PreviewedResource], console: Console) -> None:
    """Print the tree of components and resources, and the number of resources per type."""
    branches: dict[str, Tree] = {}
    for resource in resources:
        label = Text.assemble(
            (resource.name, "bold cyan" if resource.is_component else ""),
            "  ",
            (short_type(resource.type), "dim"),
        )
        if resource.parent in branches:
            branches[resource.urn] = branches[resource.parent].add(label)
        else:
            branches[resource.urn] = Tree(label, guide_style="dim")
    roots = [resource.urn for resource in resources if resource.parent not in branches]
    for urn in roots:
        console.print(branches[urn])
    console.print(_counts(resources))


def short_type(type_token: str) -> str:
    """Python name of a type: `aws.s3.Bucket` of `aws:s3/bucket:Bucket`; components keep theirs."""
    package, module, name = type_token.split(":")
    return f"{package}.{module.split('/')[0]}.{name}" if "/" in module else type_token


def _counts(resources: list[PreviewedResource]) -> Table:
    custom = Counter(short_type(resource.type) for resource in resources if not resource.is_component)
    n_components = len(resources) - custom.total()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("resource type")
    table.add_column("count", justify="right")
    for type_, count in sorted(custom.items()):
        table.add_row(type_, str(count))
    table.add_section()
    table.add_row(Text("resources", style="bold"), Text(str(custom.total()), style="bold"))
    table.add_row("components", str(n_components))
    return table


def _computed(registration: Registration, region: str) -> Created:
    """References for the string outputs of a resource; other outputs stay unknown."""
    types = schema.outputs(registration.type)
    missing = schema.required_outputs(registration.type) - set(registration.properties)
    outputs: dict[str, Any] = {
        key: _arn(registration, region) if key == "arn" else f"${{{registration.name}.{key}}}"
        for key in missing
        if types[key] is str
    }
    if "region" in outputs:
        outputs["region"] = region
    return Created(id=f"${{{registration.name}.id}}", outputs=outputs)


def _arn(registration: Registration, region: str) -> str:
    """Reference in the format of an ARN, such as `arn:aws:s3:::${data}`, because programs parse ARNs."""
    _, module, class_name = registration.type.split(":")
    service = module.split("/")[0]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", class_name).lower()
    form = ARN_FORMS.get(module, ARN_FORMS.get(service, USUAL_ARN_FORM))
    reference = f"${{{registration.name}}}"
    return form.format(service=service, region=region, kind=kind, name=_fixed_name(registration) or reference)


def _fixed_name(registration: Registration) -> str | None:
    """Physical name that the program gives to a resource."""
    inputs = values.decode(registration.properties, secret=lambda _: values.MASK)
    names = (inputs.get(key) for key in ("name", "modelPackageGroupName"))
    return next((name for name in names if isinstance(name, str)), None)


def _shown(value: Any, root: Path) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item, root) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_shown(item, root) for item in value]
    if isinstance(value, pulumi.Asset | pulumi.Archive):
        return values.fingerprint(value, root)
    return "${unknown}" if values.is_unknown(value) else value


def _parents_first(resources: list[PreviewedResource]) -> list[PreviewedResource]:
    """Depth first, siblings sorted by type and name: the registration order is not deterministic."""
    children: dict[str, list[PreviewedResource]] = {}
    known = {resource.urn for resource in resources}
    for resource in sorted(resources, key=lambda r: (not r.is_component, r.type, r.name)):
        children.setdefault(resource.parent if resource.parent in known else "", []).append(resource)

    def below(urn: str) -> list[PreviewedResource]:
        return [one for child in children.get(urn, []) for one in (child, *below(child.urn))]

    return below("")
