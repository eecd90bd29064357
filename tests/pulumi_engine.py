"""A Pulumi engine that records: programs run under it for real, and nothing is created.

`run` ends only when every registration and every output has resolved, so an assertion on what it
returns can't be skipped. A provider function that is called is an error: the program looks nothing up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import Stack, run_pulumi_func

ACCOUNT = "123456789012"
REGION = "ap-northeast-2"
PROJECT = "ncf"
MAX_RUN_S = 300  # a program takes seconds; whoever waits for an output that never comes is told


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource as the program registered it."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    custom: bool
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    dependencies: frozenset[str]


@dataclass
class Recording:
    """What a program did: its registrations in order, its exports, and the values that it returned."""

    resources: list[Registration] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)
    values: Any = None

    def of(self, kind: str) -> list[Registration]:
        """The resources of a type, such as ``aws:s3/bucket:Bucket``."""
        return [resource for resource in self.resources if resource.type == kind]

    def one(self, kind: str, name: str | None = None) -> Registration:
        """The only resource of a type, or the one of that name."""
        found = [each for each in self.of(kind) if name is None or each.name == name]
        assert len(found) == 1, (
            f"{len(found)} of {kind} {name or ''}: {[each.name for each in self.of(kind)]}"
        )
        return found[0]


class Recorder(mocks.Mocks, mocks.MockMonitor):
    """The monitor that a program talks to: it answers with plausible outputs and notes every request."""

    def __init__(self) -> None:
        mocks.MockMonitor.__init__(self, self)
        self.recording = Recording()
        self._lock = threading.Lock()

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise AssertionError(f"the program called the provider function {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}-id", {**args.inputs, **_outputs(args)} if args.custom else {}

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802 (gRPC name)
        response = super().RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return response
        registration = Registration(
            type=request.type,
            name=request.name,
            urn=response.urn,
            parent=request.parent,
            inputs=rpc.deserialize_properties(request.object),
            outputs=rpc.deserialize_properties(response.object),
            custom=request.custom,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            ignore_changes=tuple(request.ignoreChanges),
            dependencies=frozenset(request.dependencies),
        )
        with self._lock:
            self.recording.resources.append(registration)
        return response


def run(
    program: Callable[[], Any], *, config: Mapping[str, str] | None = None, stack: str = "dev"
) -> Recording:
    """Run a program to its end and return what it did.

    `program` may return outputs, plain or in lists and dictionaries: `values` has them resolved. Whatever
    the program raises, in an ``apply`` too, is raised here.
    """
    recorder = Recorder()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    settings.reset_options(project=PROJECT, stack=stack)
    try:
        mocks.set_mocks(recorder, project=PROJECT, stack=stack, preview=False, monitor=recorder)
        pulumi.runtime.set_all_config(dict(config or {}))
        loop.run_until_complete(asyncio.wait_for(_run(program, recorder), timeout=MAX_RUN_S))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    return recorder.recording


async def _run(program: Callable[[], Any], recorder: Recorder) -> None:
    async def body() -> None:
        returned = program()
        recorder.recording.values = await pulumi.Output.from_input(returned).future()
        root = settings.get_root_resource()
        assert isinstance(root, Stack)
        recorder.recording.exports = await pulumi.Output.from_input(dict(root.outputs)).future() or {}

    await run_pulumi_func(body)


def _outputs(args: mocks.MockResourceArgs) -> dict[str, Any]:
    """The outputs that AWS would add; what a type has of its own comes last."""
    service = args.typ.split(":")[1].split("/")[0]
    name = args.inputs.get("name") or f"{args.name}-1a2b3c"
    group = args.inputs.get("modelPackageGroupName")
    own: dict[str, dict[str, Any]] = {
        "aws:s3/bucket:Bucket": {"bucket": name, "arn": f"arn:aws:s3:::{name}"},
        "aws:kms/key:Key": {"keyId": "key-1", "arn": _arn("kms", "key/key-1")},
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
    return {"name": name, "arn": _arn(service, args.name), **own.get(args.typ, {})}


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"
