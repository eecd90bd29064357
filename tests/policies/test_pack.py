"""The policy pack as Pulumi's engine calls it, in the environment of `policies/requirements.txt`.

Skipped without the Python of that environment, ``POLICIES_PYTHON`` (`make test-policies` sets it).
"""

from __future__ import annotations

import copy
import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from local.deploy.values import UNKNOWN
from local.preview import PreviewedResource
from policies.pack import RULES
from tests.local.snapshots import snapshot
from tests.repository import ROOT, STAGES

PYTHON = os.environ.get("POLICIES_PYTHON", "")
TIMEOUT_S = 60

pytestmark = pytest.mark.skipif(not PYTHON, reason="POLICIES_PYTHON is not set")

Engine = Callable[[list[PreviewedResource]], list[Any]]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Function that sends resources to the pack as the engine does, and returns the diagnostics."""
    folder = ROOT / "policies"
    env = {"PATH": os.environ["PATH"]}
    with subprocess.Popen([PYTHON, "-u", "__main__.py"], cwd=folder, env=env, stdout=subprocess.PIPE) as pack:
        try:
            assert pack.stdout is not None
            port = int(pack.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                analyzer = analyzer_pb2_grpc.AnalyzerStub(channel)
                yield lambda resources: _analyze(analyzer, resources)
        finally:
            pack.terminate()


def _analyze(analyzer: Any, resources: list[PreviewedResource]) -> list[Any]:
    found = []
    for each in resources:
        request = analyzer_pb2.AnalyzeRequest(
            type=each.type, urn=each.urn, name=each.name, properties=_struct(_as_checked(each.inputs))
        )
        found += analyzer.Analyze(request, timeout=TIMEOUT_S).diagnostics
    stack = [
        analyzer_pb2.AnalyzerResource(
            type=each.type,
            urn=each.urn,
            name=each.name,
            properties=_struct({**each.inputs, "name": "computed"}),  # outputs
            options=analyzer_pb2.AnalyzerResourceOptions(protect=each.protect),
            propertyDependencies={
                key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
                for key, urns in each.depends_on.items()
            },
        )
        for each in resources
    ]
    answer = analyzer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=stack), timeout=TIMEOUT_S)
    return [*found, *answer.diagnostics]


def _as_checked(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs after the provider's check: a generated name, which `__defaults` names."""
    return inputs if "name" in inputs else {**inputs, "name": "generated-1a2b3c", "__defaults": ["name"]}


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def resources_of(stage: str) -> list[PreviewedResource]:
    """Resources of a stage that a test may change."""
    return [copy.deepcopy(each) for each in snapshot(stage).custom().values()]


def unknown(value: Any) -> Any:
    """Inputs of a stage that does not exist yet: texts that contain outputs of resources are not known."""
    if isinstance(value, dict):
        return {key: unknown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unknown(item) for item in value]
    return UNKNOWN if isinstance(value, str) and "${" in value else value


def one(resources: list[PreviewedResource], name: str) -> PreviewedResource:
    (found,) = [each for each in resources if each.name == name]
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_engine_finds_nothing_in_a_stage(engine: Engine, stage: str) -> None:
    assert [each.message for each in engine(resources_of(stage))] == []


def test_engine_refuses_what_breaks_a_rule(engine: Engine) -> None:
    resources = resources_of("prod")
    one(resources, "data").inputs["forceDestroy"] = True
    one(resources, "key").inputs["enableKeyRotation"] = False

    found = {
        (each.policyName, each.urn.rpartition("::")[2], each.enforcementLevel) for each in engine(resources)
    }

    assert found == {
        ("bucket-not-emptied", "data", analyzer_pb2.MANDATORY),
        ("key-rotates", "key", analyzer_pb2.MANDATORY),
    }


def test_inputs_that_a_preview_does_not_know_break_no_rule(engine: Engine) -> None:
    resources = [dataclasses.replace(each, inputs=unknown(each.inputs)) for each in resources_of("prod")]

    assert [(each.policyName, each.message) for each in engine(resources)] == []


def test_pack_has_every_rule() -> None:
    path = str(ROOT / "policies/__main__.py")
    program = f"import runpy; print(len(runpy.run_path({path!r})['RULES']))"
    ended = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert int(ended.stdout) == len(RULES)
