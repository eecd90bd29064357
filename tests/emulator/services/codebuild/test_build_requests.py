"""Builds started by clients and by EventBridge rules, lists of builds, and state change events."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.codebuild.support import BUILD_TIMEOUT_S, finished, log_of, start
from tests.emulator.support import make_queue, make_role, make_rule, receive, rule_arn
from tests.polling import eventually


def test_same_idempotency_token_starts_one_build(emulator: Emulator, project: str) -> None:
    first = start(emulator, "[echo once]", idempotencyToken="run-1")
    assert start(emulator, "[echo once]", idempotencyToken="run-1") == first
    with pytest.raises(ClientError, match="InvalidInputException"):
        start(emulator, "[echo twice]", idempotencyToken="run-1")
    assert log_of(emulator, finished(emulator, first)) == ["once"]
    second = start(emulator, "[echo once]", idempotencyToken="run-2")
    assert second != first
    finished(emulator, second)


def test_unsupported_request_is_refused_with_its_field(emulator: Emulator, project: str) -> None:
    with pytest.raises(ClientError, match="does not support cacheOverride"):
        start(emulator, cacheOverride={"type": "LOCAL"})
    with pytest.raises(ClientError, match=r"source.type GITHUB: the emulator supports S3 and NO_SOURCE"):
        start(emulator, sourceTypeOverride="GITHUB")
    secret = {"name": "SECRET", "value": "id", "type": "SECRETS_MANAGER"}
    with pytest.raises(ClientError, match="environmentVariables SECRET: the emulator supports PLAINTEXT"):
        start(emulator, environmentVariablesOverride=[secret])
    with pytest.raises(ClientError, match=r"artifacts.type S3"):
        start(emulator, artifactsOverride={"type": "S3", "location": "sources"})
    with pytest.raises(ClientError, match="Project cannot be found"):
        emulator.client("codebuild").start_build(projectName="nothing")


def test_builds_are_listed_newest_first_and_publish_their_state(emulator: Emulator, project: str) -> None:
    url, queue = make_queue(emulator, "states", rule_arn(emulator, "states"))
    pattern = {"source": ["aws.codebuild"], "detail": {"project-name": ["shop"]}}
    make_rule(emulator, "states", pattern, {"Arn": queue})
    build_id = start(emulator, "[echo listed]")
    finished(emulator, build_id)
    client = emulator.client("codebuild")
    assert client.list_builds_for_project(projectName="shop")["ids"][0] == build_id
    assert client.list_builds(sortOrder="ASCENDING")["ids"][-1] == build_id
    states: set[str] = set()
    while len(states) < 2:  # an earlier test's last event may still arrive; receive() ends the wait
        detail = json.loads(receive(emulator, url)["Body"])["detail"]
        if detail["build-id"].endswith(build_id):
            states.add(detail["build-status"])
    assert states == {"IN_PROGRESS", "SUCCEEDED"}


def test_rule_starts_a_build_with_its_input(emulator: Emulator, project: str) -> None:
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
    new = eventually(
        lambda: set(emulator.client("codebuild").list_builds()["ids"]) - before,
        BUILD_TIMEOUT_S,
        "the rule starts a build",
    )
    build = finished(emulator, new.pop())
    assert build["source"]["buildspec"] == "arn:aws:s3:::sources/specs/1.yml"
    assert log_of(emulator, build) == ["by rule"]
