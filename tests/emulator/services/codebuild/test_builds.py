"""Builds: source versions, phases, failures and stops."""

from __future__ import annotations

import time

import pytest

from emulator.app import Emulator
from tests.emulator.services.codebuild.support import (
    BUILD_TIMEOUT_S,
    finished,
    log_of,
    phases_of,
    start,
)
from tests.emulator.support import zipped
from tests.polling import eventually


def test_build_runs_the_given_source_version(emulator: Emulator, project: str) -> None:
    s3 = emulator.client("s3")
    old = s3.head_object(Bucket="sources", Key="code/source.zip")["VersionId"]
    new = {"run.sh": "#!/bin/sh\necho new source\n", "requirements.txt": ""}
    s3.put_object(Bucket="sources", Key="code/source.zip", Body=zipped(new))
    override = [{"name": "WHERE", "value": "request"}]

    build = finished(emulator, start(emulator, sourceVersion=old, environmentVariablesOverride=override))

    assert (build["buildStatus"], build["resolvedSourceVersion"]) == ("SUCCEEDED", old)
    lines = log_of(emulator, build)
    assert lines[:2] == ["old source", "project/request/a 'b'"]
    assert lines[2].startswith(f"{build['id']} in /")
    assert lines[2].endswith(f"/src of {old}")
    assert lines[3] == "arn:aws:sts::123456789012:assumed-role/builder/AWSCodeBuild"
    assert list(phases_of(build).items()) == [
        *((name, "SUCCEEDED") for name in ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")),
        *((name, "SUCCEEDED") for name in ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")),
        *((name, "SUCCEEDED") for name in ("UPLOAD_ARTIFACTS", "FINALIZING")),
        ("COMPLETED", ""),
    ]


def test_failed_command_fails_the_build_and_is_named(emulator: Emulator, project: str) -> None:
    spec = """
version: 0.2
phases:
  build:
    commands: [echo before, "sh -c 'exit 4'", echo never]
    finally: [echo finally]
  post_build:
    commands: [echo "after $CODEBUILD_BUILD_SUCCEEDING"]
"""
    build = finished(emulator, start(emulator, buildspecOverride=spec))
    assert build["buildStatus"] == "FAILED"
    failed = next(phase for phase in build["phases"] if phase.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] == "BUILD"
    assert failed["contexts"] == [
        {
            "statusCode": "COMMAND_EXECUTION_ERROR",
            "message": "Error while executing command: sh -c 'exit 4'. Reason: exit status 4",
        }
    ]
    assert log_of(emulator, build) == ["before", "finally", "after 0"]


@pytest.mark.parametrize(
    ("on_failure", "reached"), [("", False), ("on-failure: ABORT", False), ("on-failure: CONTINUE", True)]
)
def test_failure_before_the_build_phase_ends_the_build_unless_on_failure_is_continue(
    emulator: Emulator, project: str, on_failure: str, reached: bool
) -> None:
    spec = f"""
version: 0.2
phases:
  pre_build:
    {on_failure}
    commands: ["false"]
  build:
    commands: [echo reached]
"""
    build = finished(emulator, start(emulator, buildspecOverride=spec))
    assert build["buildStatus"] == "FAILED"
    assert log_of(emulator, build) == (["reached"] if reached else [])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"buildspecOverride": "version: 0.2\n"}, "YAML_FILE_ERROR", "phases"),
        ({"buildspecOverride": "no.yml"}, "YAML_FILE_ERROR", "no such file"),
        (
            {"buildspecOverride": "arn:aws:s3:::sources/no.yml"},
            "YAML_FILE_ERROR",
            "NoSuchKey",
        ),
        ({"sourceLocationOverride": "sources/no.zip"}, "CLIENT_ERROR", "NoSuchKey"),
        (
            {"serviceRoleOverride": "arn:aws:iam::123456789012:role/no"},
            "ACCESS_DENIED",
            "AssumeRole",
        ),
    ],
)
def test_build_without_its_inputs_fails_with_the_cause(
    emulator: Emulator, project: str, arguments: dict[str, str], code: str, message: str
) -> None:
    build = finished(emulator, start(emulator, **arguments))
    assert build["buildStatus"] == "FAILED"
    failed = next(p for p in build["phases"] if p.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] in ("PROVISIONING", "DOWNLOAD_SOURCE")
    assert failed["contexts"][0]["statusCode"] == code
    assert message in failed["contexts"][0]["message"]


def test_running_build_is_stopped(emulator: Emulator, project: str) -> None:
    build_id = start(emulator, "[echo begun, sleep 60]")
    client = emulator.client("codebuild")
    eventually(
        lambda: client.batch_get_builds(ids=[build_id])["builds"][0]["currentPhase"] == "BUILD",
        BUILD_TIMEOUT_S,
        "the build phase begins",
    )
    began = time.monotonic()
    client.stop_build(id=build_id)
    build = finished(emulator, build_id)
    assert (build["buildStatus"], phases_of(build)["BUILD"]) == ("STOPPED", "STOPPED")
    assert time.monotonic() - began < 10
