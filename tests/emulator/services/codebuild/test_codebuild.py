"""Builds: from the source's version, through the phases, to a status that is earned."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.support import (
    make_bucket,
    make_queue,
    make_role,
    make_rule,
    receive,
    rule_arn,
    zipped,
)
from tests.polling import eventually

IMAGE = "aws/codebuild/amazonlinux2-x86_64-standard:5.0"
PROBE = """
version: 0.2
env:
  variables: {WHO: buildspec, WHERE: buildspec}
  parameter-store: {PARAMETER: /shop/parameter}
  secrets-manager: {SECRET: "shop:key"}
  exported-variables: [MADE]
phases:
  install:
    commands:
      - python -m pip install --quiet -r requirements.txt
  pre_build:
    commands:
      - export MADE="a 'b'"
      - ./run.sh
  build:
    commands:
      - echo "$WHO/$WHERE/$PARAMETER/$SECRET"
      - echo "$CODEBUILD_BUILD_ID in $CODEBUILD_SRC_DIR of $CODEBUILD_RESOLVED_SOURCE_VERSION"
      - python -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])'
"""


@pytest.fixture(scope="module")
def project(emulator: Emulator) -> str:
    """A project on a versioned source bundle."""
    bucket = make_bucket(emulator, "sources", versions=True)
    old = {"run.sh": "#!/bin/sh\necho old source\n", "requirements.txt": "boto3>=1\n"}
    emulator.client("s3").put_object(Bucket=bucket, Key="code/source.zip", Body=zipped(old))
    emulator.client("ssm").put_parameter(Name="/shop/parameter", Value="parameter", Type="SecureString")
    emulator.client("secretsmanager").create_secret(Name="shop", SecretString=json.dumps({"key": "secret"}))
    role = make_role(emulator, "builder", "codebuild.amazonaws.com")
    variables = [{"name": "WHO", "value": "project", "type": "PLAINTEXT"}]
    emulator.client("codebuild").create_project(
        name="shop",
        source={"type": "S3", "location": f"{bucket}/code/source.zip", "buildspec": PROBE},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": IMAGE,
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": variables,
        },
        serviceRole=role,
        encryptionKey="arn:aws:kms:ap-northeast-2:123456789012:key/k",
        logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": "/shop/builds"}},
    )
    return "shop"


def start(emulator: Emulator, commands: str = "", **arguments: Any) -> str:
    """The id of a new build; ``commands`` is a build phase's YAML list."""
    if commands:
        arguments["buildspecOverride"] = f"version: 0.2\nphases:\n  build:\n    commands: {commands}\n"
    return str(emulator.client("codebuild").start_build(projectName="shop", **arguments)["build"]["id"])


def finished(emulator: Emulator, build_id: str) -> dict[str, Any]:
    """The build once it is complete."""

    def look() -> dict[str, Any] | None:
        build = emulator.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
        return dict(build) if build["buildComplete"] else None

    build = eventually(look, 30)
    assert build is not None
    return build


def log_of(emulator: Emulator, build: dict[str, Any]) -> list[str]:
    """The build's log without the container's own lines."""
    logs = build["logs"]
    found = emulator.client("logs").get_log_events(
        logGroupName=logs["groupName"], logStreamName=logs["streamName"], startFromHead=True
    )
    return [e["message"] for e in found["events"] if not e["message"].startswith("[Container]")]


def phases_of(build: dict[str, Any]) -> dict[str, str]:
    """Status by phase."""
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def test_a_build_runs_the_source_that_its_version_names(emulator: Emulator, project: str) -> None:
    s3 = emulator.client("s3")
    old = s3.head_object(Bucket="sources", Key="code/source.zip")["VersionId"]
    new = {"run.sh": "#!/bin/sh\necho new source\n", "requirements.txt": ""}
    s3.put_object(Bucket="sources", Key="code/source.zip", Body=zipped(new))
    override = [{"name": "WHERE", "value": "request"}]

    build = finished(emulator, start(emulator, sourceVersion=old, environmentVariablesOverride=override))

    assert (build["buildStatus"], build["resolvedSourceVersion"]) == ("SUCCEEDED", old)
    lines = log_of(emulator, build)
    assert lines[:2] == ["old source", "project/request/parameter/secret"]
    assert lines[2].startswith(f"{build['id']} in /")
    assert lines[2].endswith(f"/src of {old}")
    assert lines[3] == "arn:aws:sts::123456789012:assumed-role/builder/AWSCodeBuild"
    assert build["exportedEnvironmentVariables"] == [{"name": "MADE", "value": "a 'b'"}]
    assert list(phases_of(build).items()) == [
        *((name, "SUCCEEDED") for name in ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE")),
        *((name, "SUCCEEDED") for name in ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")),
        *((name, "SUCCEEDED") for name in ("UPLOAD_ARTIFACTS", "FINALIZING")),
        ("COMPLETED", ""),
    ]


def test_a_failed_command_fails_the_build_and_says_which(emulator: Emulator, project: str) -> None:
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
def test_a_failure_before_the_build_ends_it_unless_it_may_continue(
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
def test_a_build_that_cannot_begin_says_why(
    emulator: Emulator, project: str, arguments: dict[str, str], code: str, message: str
) -> None:
    build = finished(emulator, start(emulator, **arguments))
    assert build["buildStatus"] == "FAILED"
    failed = next(p for p in build["phases"] if p.get("phaseStatus") == "FAILED")
    assert failed["phaseType"] in ("PROVISIONING", "DOWNLOAD_SOURCE")
    assert failed["contexts"][0]["statusCode"] == code
    assert message in failed["contexts"][0]["message"]


def test_the_same_token_starts_one_build(emulator: Emulator, project: str) -> None:
    first = start(emulator, "[echo once]", idempotencyToken="run-1")
    assert start(emulator, "[echo once]", idempotencyToken="run-1") == first
    with pytest.raises(ClientError, match="InvalidInputException"):
        start(emulator, "[echo twice]", idempotencyToken="run-1")
    assert log_of(emulator, finished(emulator, first)) == ["once"]
    assert start(emulator, "[echo once]", idempotencyToken="run-2") != first


def test_a_build_can_be_stopped(emulator: Emulator, project: str) -> None:
    build_id = start(emulator, "[echo begun, sleep 60]")
    client = emulator.client("codebuild")
    eventually(lambda: client.batch_get_builds(ids=[build_id])["builds"][0]["currentPhase"] == "BUILD")
    began = time.monotonic()
    client.stop_build(id=build_id)
    build = finished(emulator, build_id)
    assert (build["buildStatus"], phases_of(build)["BUILD"]) == ("STOPPED", "STOPPED")
    assert time.monotonic() - began < 10


def test_what_is_not_emulated_is_refused_by_its_name(emulator: Emulator, project: str) -> None:
    with pytest.raises(ClientError, match="does not take cacheOverride"):
        start(emulator, cacheOverride={"type": "LOCAL"})
    with pytest.raises(ClientError, match=r"source.type GITHUB: the emulator takes S3 and NO_SOURCE"):
        start(emulator, sourceTypeOverride="GITHUB")
    with pytest.raises(ClientError, match=r"artifacts.type S3"):
        start(emulator, artifactsOverride={"type": "S3", "location": "sources"})
    with pytest.raises(ClientError, match="Project cannot be found"):
        emulator.client("codebuild").start_build(projectName="nothing")


def test_builds_are_listed_newest_first_and_tell_their_state(emulator: Emulator, project: str) -> None:
    url, queue = make_queue(emulator, "states", rule_arn(emulator, "states"))
    pattern = {"source": ["aws.codebuild"], "detail": {"project-name": ["shop"]}}
    make_rule(emulator, "states", pattern, {"Arn": queue})
    build_id = start(emulator, "[echo listed]")
    finished(emulator, build_id)
    client = emulator.client("codebuild")
    assert client.list_builds_for_project(projectName="shop")["ids"][0] == build_id
    assert client.list_builds(sortOrder="ASCENDING")["ids"][-1] == build_id
    details = [json.loads(receive(emulator, url)["Body"])["detail"] for _ in range(2)]
    assert {detail["build-status"] for detail in details} == {"IN_PROGRESS", "SUCCEEDED"}
    assert {detail["build-id"].rpartition("build/")[2] for detail in details} == {build_id}


def test_a_rule_starts_a_build_with_its_input(emulator: Emulator, project: str) -> None:
    arn = f"arn:aws:codebuild:{emulator.region}:{emulator.account_id}:project/shop"
    allow = {"Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": arn}
    role = make_role(emulator, "starter", "events.amazonaws.com", allow)
    emulator.client("s3").put_object(
        Bucket="sources", Key="specs/1.yml", Body=b"version: 0.2\nphases: {build: {commands: [echo by rule]}}"
    )
    transformer = {
        "InputPathsMap": {"key": "$.detail.key", "id": "$.id"},
        "InputTemplate": '{"buildspecOverride": "arn:aws:s3:::sources/<key>", "idempotencyToken": <id>}',
    }
    make_rule(
        emulator,
        "build",
        {"source": ["spec"]},
        {"Arn": arn, "RoleArn": role, "InputTransformer": transformer},
    )
    before = set(emulator.client("codebuild").list_builds()["ids"])
    entry = {"Source": "spec", "DetailType": "rendered", "Detail": json.dumps({"key": "specs/1.yml"})}
    emulator.client("events").put_events(Entries=[entry])
    new = eventually(lambda: set(emulator.client("codebuild").list_builds()["ids"]) - before)
    build = finished(emulator, new.pop())
    assert build["source"]["buildspec"] == "arn:aws:s3:::sources/specs/1.yml"
    assert log_of(emulator, build) == ["by rule"]
