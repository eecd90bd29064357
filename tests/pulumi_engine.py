"""Run Pulumi programs and components with the monitor of `local.deploy` and simulated outputs of AWS.

Nothing is created. `run` returns after every registration and output is resolved, so that no assertion on
its result can be skipped. Look-ups and outputs that are not computed are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from local.deploy import program, values
from local.deploy.monitor import STACK_TYPE, Created, Monitor, Registration, refuse_unknown
from local.deploy.project import Stage
from tests.repository import ROOT

ACCOUNT = "123456789012"
REGION = "ap-northeast-2"
PROJECT = "ncf"
TIMEOUT_S = 300  # a program takes seconds
RETURNED = "returned"  # stack output with the value that the program returned


@dataclass(frozen=True, kw_only=True)
class RecordedResource:
    """A registered resource with decoded inputs and outputs."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    custom: bool
    protect: bool
    ignore_changes: tuple[str, ...]
    dependencies: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Result of a program: registered resources in order, stack outputs and the value that it returned."""

    resources: list[RecordedResource]
    exports: dict[str, Any] = field(default_factory=dict)
    values: Any = None

    def of(self, kind: str) -> list[RecordedResource]:
        """The resources of a type, such as ``aws:s3/bucket:Bucket``."""
        return [resource for resource in self.resources if resource.type == kind]

    def one(self, kind: str, name: str | None = None) -> RecordedResource:
        """The only resource of a type, or the one with this name."""
        found = [each for each in self.of(kind) if name is None or each.name == name]
        assert len(found) == 1, (
            f"{len(found)} of {kind} {name or ''}: {[each.name for each in self.of(kind)]}"
        )
        return found[0]


def run(
    main: Callable[[], Any],
    *,
    config: Mapping[str, str] | None = None,
    stack: str = "dev",
    project: str = PROJECT,
) -> Recording:
    """Run a program and return its resources, stack outputs and return value.

    `main` may return outputs, also in lists and dictionaries; `Recording.values` has the resolved values.
    Exceptions of the program are raised here.
    """
    stage = Stage(project=project, name=stack, root=ROOT, config=dict(config or {}))
    monitor = Monitor(project=project, stack=stack, create=_create)
    program.execute(lambda: pulumi.export(RETURNED, main()), stage, monitor, timeout_s=TIMEOUT_S)
    exports = monitor.stack_outputs()
    returned = exports.pop(RETURNED, None)
    resources = [
        _resource(registration, monitor.created.get(registration.urn))
        for registration in monitor.registrations.values()
        if registration.type != STACK_TYPE
    ]
    return Recording(resources=resources, exports=exports, values=returned)


def _resource(registration: Registration, created: Created | None) -> RecordedResource:
    return RecordedResource(
        type=registration.type,
        name=registration.name,
        urn=registration.urn,
        parent=registration.parent,
        inputs=values.decode(registration.properties),
        outputs=created.outputs if created else {},
        custom=registration.is_custom,
        protect=registration.protect,
        ignore_changes=registration.ignore_changes,
        dependencies=registration.dependencies,
    )


def _create(registration: Registration) -> Created:
    """Simulated outputs of a resource; outputs of its type replace the general ones."""
    inputs = values.decode(registration.properties)
    refuse_unknown(registration, inputs)
    service = registration.type.split(":")[1].split("/")[0]
    name = inputs.get("name") or f"{registration.name}-1a2b3c"
    group = inputs.get("modelPackageGroupName")
    by_type: dict[str, dict[str, Any]] = {
        "aws:s3/bucket:Bucket": {"bucket": name, "arn": f"arn:aws:s3:::{name}"},
        "aws:kms/key:Key": {"keyId": "key-1", "arn": _arn("kms", "key/key-1")},
        "aws:iam/openIdConnectProvider:OpenIdConnectProvider": {
            "arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{inputs.get('url', '').removeprefix('https://')}"
        },
        "aws:iam/role:Role": {"arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"},
        "aws:lambda/function:Function": {"arn": _arn("lambda", f"function:{name}")},
        "aws:cloudwatch/logGroup:LogGroup": {"arn": _arn("logs", f"log-group:{name}")},
        "aws:cloudwatch/eventRule:EventRule": {"arn": _arn("events", f"rule/{name}")},
        "aws:sqs/queue:Queue": {"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"},
        "aws:sagemaker/modelPackageGroup:ModelPackageGroup": {
            "arn": _arn("sagemaker", f"model-package-group/{group}")
        },
        "aws:sagemaker/endpoint:Endpoint": {"arn": _arn("sagemaker", f"endpoint/{name}")},
        "aws:codebuild/project:Project": {"arn": _arn("codebuild", f"project/{name}")},
        "aws:apigatewayv2/api:Api": {
            "apiEndpoint": f"https://api1.execute-api.{REGION}.amazonaws.com",
            "executionArn": _arn("execute-api", "api1"),
        },
        "aws:ec2/vpcEndpoint:VpcEndpoint": {"prefixListId": "pl-1"},
    }
    outputs = {"name": name, "arn": _arn(service, registration.name), **by_type.get(registration.type, {})}
    return Created(id=f"{registration.name}-id", outputs=outputs)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"
