"""EventBridge rules: S3 events, patterns, targets, permissions, retries, dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.app import PROVIDERS, Emulator
from emulator.delivery import Backoff, RetryPolicy
from emulator.provider import Provider
from emulator.services.events.provider import EventsProvider
from emulator.wire import Operation, Request, ServiceError
from tests.emulator.support import (
    document,
    is_empty,
    make_bucket,
    make_function,
    make_queue,
    make_role,
    make_rule,
    receive,
    rule_arn,
)
from tests.polling import eventually

RETURN_EVENT = "def handler(event, context):\n    return event\n"


class BusyCodeBuild(Provider):
    """CodeBuild whose quota of concurrent builds is used up; records the builds that it refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def operations(self) -> dict[str, Operation]:
        return {"CodeBuild_20161006.StartBuild": self._start_build}

    def _start_build(self, request: Request) -> None:
        self.refused.append(request.json["projectName"])
        raise ServiceError("AccountLimitExceededException", "Cannot have more than 1 builds in queue")


@pytest.fixture(scope="module")
def busy() -> BusyCodeBuild:
    return BusyCodeBuild()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, busy: BusyCodeBuild) -> Iterator[Emulator]:
    """Emulator that retries at once and whose CodeBuild starts no build."""
    policy = RetryPolicy(max_retries=185, max_age_s=86_400, backoff=Backoff(first_s=0.01, longest_s=0.02))
    providers = {
        **PROVIDERS,
        "events": lambda wiring: EventsProvider(wiring.host, policy),
        "codebuild": lambda _: busy,
    }
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        yield running


def created_in(bucket: str) -> dict[str, Any]:
    """Pattern that matches new objects of a bucket."""
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}


def test_object_created_event_has_s3_shape(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "created", events=True, versions=True)
    url, queue = make_queue(emulator, "created", rule_arn(emulator, "created"))
    make_rule(emulator, "created", created_in(bucket), {"Arn": queue})
    put = emulator.client("s3").put_object(Bucket=bucket, Key="a b/ü+.txt", Body=b"12345")

    event = json.loads(receive(emulator, url)["Body"])

    assert {
        "version",
        "id",
        "time",
        "account",
        "region",
        "resources",
        "source",
        "detail-type",
        "detail",
    } == set(event)
    assert event["resources"] == ["arn:aws:s3:::created"]
    assert event["region"] == emulator.region
    stored = event["detail"]["object"]
    assert stored.pop("sequencer")
    assert stored == {
        "key": "a b/ü+.txt",
        "size": 5,
        "etag": put["ETag"].strip('"'),
        "version-id": put["VersionId"],
    }
    assert event["detail"]["reason"] == "PutObject"
    assert event["detail"]["requester"] == emulator.account_id


def test_each_write_sends_one_event_with_its_reason(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "ways", events=True)
    url, queue = make_queue(emulator, "ways", rule_arn(emulator, "ways"))
    make_rule(emulator, "ways", created_in(bucket), {"Arn": queue, "InputPath": "$.detail.reason"})
    s3 = emulator.client("s3")

    s3.put_object(Bucket=bucket, Key="one", Body=b"x", Tagging="a=b")
    assert json.loads(receive(emulator, url)["Body"]) == "PutObject"
    s3.copy_object(Bucket=bucket, Key="two", CopySource={"Bucket": bucket, "Key": "one"})
    assert json.loads(receive(emulator, url)["Body"]) == "CopyObject"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="three")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="three", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="three", UploadId=upload, MultipartUpload=parts)
    assert json.loads(receive(emulator, url)["Body"]) == "CompleteMultipartUpload"
    assert is_empty(emulator, url)


def test_deletion_sends_object_deleted(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "gone", events=True)
    url, queue = make_queue(emulator, "gone", rule_arn(emulator, "gone"))
    make_rule(emulator, "gone", {"source": ["aws.s3"], "detail-type": ["Object Deleted"]}, {"Arn": queue})
    emulator.client("s3").put_object(Bucket=bucket, Key="one", Body=b"x")
    emulator.client("s3").delete_object(Bucket=bucket, Key="one")
    detail = json.loads(receive(emulator, url)["Body"])["detail"]
    assert (detail["object"]["key"], detail["deletion-type"]) == ("one", "Permanently Deleted")


def test_bucket_without_eventbridge_sends_no_event(emulator: Emulator) -> None:
    bucket = make_bucket(emulator, "silent")
    url, queue = make_queue(emulator, "silent", rule_arn(emulator, "silent"))
    make_rule(emulator, "silent", created_in(bucket), {"Arn": queue})
    emulator.client("s3").put_object(Bucket=bucket, Key="one", Body=b"x")
    assert is_empty(emulator, url)


def test_disabled_rule_matches_nothing(emulator: Emulator) -> None:
    url, queue = make_queue(emulator, "off", rule_arn(emulator, "off"))
    make_rule(emulator, "off", {"source": ["shop"]}, {"Arn": queue})
    emulator.client("events").disable_rule(Name="off")
    put_event(emulator, "shop")
    assert is_empty(emulator, url)


def put_event(emulator: Emulator, source: str, **detail: Any) -> None:
    """Publish an event of an application."""
    entry = {"Source": source, "DetailType": "sold", "Detail": json.dumps(detail)}
    assert emulator.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


PATTERNS = [  # (pattern, whether it matches the event of the test)
    ({"detail": {"key": [{"suffix": "/_SUCCESS"}]}}, True),
    ({"detail": {"key": [{"wildcard": "prepared/run=*/_SUCCESS"}]}}, True),
    ({"detail": {"key": [{"wildcard": "prepared/run=*/part"}]}}, False),
    ({"detail": {"key": [{"prefix": "raw/"}]}}, False),
    ({"detail": {"key": [{"anything-but": {"prefix": "raw/"}}]}}, True),
    ({"source": [{"prefix": "patt"}], "detail": {"size": [{"numeric": [">", 0]}]}}, True),
    ({"$or": [{"source": ["other"]}, {"detail": {"size": [3]}}]}, True),
    ({"detail": {"nothing": [{"exists": True}]}}, False),
]


def test_patterns_match_as_in_eventbridge(emulator: Emulator) -> None:
    names = [f"pattern-{n}" for n in range(len(PATTERNS))]
    url, queue = make_queue(emulator, "patterns", *(rule_arn(emulator, name) for name in names))
    for name, (pattern, _) in zip(names, PATTERNS, strict=True):
        only = {"source": ["patterns"], **pattern}  # not the events of other tests
        make_rule(emulator, name, only, {"Arn": queue, "Input": json.dumps(name)})

    put_event(emulator, "patterns", key="prepared/run=20261123T020000Z/_SUCCESS", size=3)

    expected = [name for name, (_, matches) in zip(names, PATTERNS, strict=True) if matches]
    received = [json.loads(receive(emulator, url)["Body"]) for _ in expected]
    assert sorted(received) == sorted(expected)
    assert is_empty(emulator, url)


def test_function_without_permission_is_not_invoked(emulator: Emulator) -> None:
    function = make_function(emulator, "closed", RETURN_EVENT)
    rule = rule_arn(emulator, "closed")
    url, queue = make_queue(emulator, "closed", rule)
    make_rule(
        emulator, "closed", {"source": ["closed"]}, {"Arn": function, "DeadLetterConfig": {"Arn": queue}}
    )
    put_event(emulator, "closed", order=7)

    dead_letter = receive(emulator, url)

    values = {name: value["StringValue"] for name, value in dead_letter["MessageAttributes"].items()}
    assert values["ERROR_CODE"] == "NO_PERMISSIONS"
    assert (values["RULE_ARN"], values["TARGET_ARN"], values["RETRY_ATTEMPTS"]) == (rule, function, "0")
    assert "EXHAUSTED_RETRY_CONDITION" not in values
    assert json.loads(dead_letter["Body"])["detail"] == {"order": 7}


@pytest.mark.parametrize(
    ("name", "arn", "code"),
    [
        ("machine", "arn:aws:states:{region}:123456789012:stateMachine:m", "SDK_CLIENT_ERROR"),
        ("pipeline", "arn:aws:sagemaker:{region}:123456789012:pipeline/p", "SDK_CLIENT_ERROR"),
        ("bus", "arn:aws:events:{region}:123456789012:event-bus/other", "SDK_CLIENT_ERROR"),
        ("group", "arn:aws:logs:{region}:123456789012:log-group:/aws/events/group", "SDK_CLIENT_ERROR"),
        ("absent", "arn:aws:lambda:{region}:123456789012:function:absent", "NO_RESOURCE"),
        ("queue", "arn:aws:sqs:{region}:123456789012:missing", "NO_RESOURCE"),
    ],
)
def test_unreachable_target_is_dead_lettered(emulator: Emulator, name: str, arn: str, code: str) -> None:
    url, queue = make_queue(emulator, name, rule_arn(emulator, name))
    target = {"Arn": arn.format(region=emulator.region), "DeadLetterConfig": {"Arn": queue}}
    if name in ("machine", "pipeline"):
        target["RoleArn"] = make_role(emulator, f"{name}-role", "events.amazonaws.com")
    make_rule(emulator, name, {"source": [name]}, target)
    put_event(emulator, name)
    assert receive(emulator, url)["MessageAttributes"]["ERROR_CODE"]["StringValue"] == code


def test_throttled_target_is_retried_then_dead_lettered(emulator: Emulator, busy: BusyCodeBuild) -> None:
    project = f"arn:aws:codebuild:{emulator.region}:{emulator.account_id}:project/slow"
    allow = {"Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": project}
    url, queue = make_queue(emulator, "slow", rule_arn(emulator, "slow"))
    target = {
        "Arn": project,
        "RoleArn": make_role(emulator, "starts-slow", "events.amazonaws.com", allow),
        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60},
        "DeadLetterConfig": {"Arn": queue},
    }
    make_rule(emulator, "slow", {"source": ["slow"]}, target)
    put_event(emulator, "slow")

    attributes = receive(emulator, url)["MessageAttributes"]

    assert busy.refused == ["slow"] * 3
    assert attributes["ERROR_CODE"]["StringValue"] == "THROTTLING"
    assert attributes["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumRetryAttempts"
    assert attributes["RETRY_ATTEMPTS"]["StringValue"] == "2"


def test_queue_without_permission_receives_nothing_and_loss_is_logged(emulator: Emulator) -> None:
    url, queue = make_queue(emulator, "barred", rule_arn(emulator, "another"))
    make_rule(emulator, "barred", {"source": ["barred"]}, {"Arn": queue})
    put_event(emulator, "barred")
    log = emulator.root / "logs" / "cloud.log"
    eventually(lambda: "barred -> " in log.read_text() and "the event is lost" in log.read_text())
    assert is_empty(emulator, url)


def test_topic_receives_events(emulator: Emulator) -> None:
    sns = emulator.client("sns")
    url, queue = make_queue(emulator, "topic", rule_arn(emulator, "topic"))
    topic = sns.create_topic(Name="topic")["TopicArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}
    publish = {**allow, "Action": "sns:Publish", "Resource": topic}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(publish))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    make_rule(emulator, "topic", {"source": ["topic"]}, {"Arn": topic, "Input": '"from the topic"'})

    put_event(emulator, "topic", order=1)

    assert receive(emulator, url)["Body"] == '"from the topic"'


def test_build_target_needs_role_with_permission(emulator: Emulator) -> None:
    project = f"arn:aws:codebuild:{emulator.region}:{emulator.account_id}:project/p"
    start = {"Effect": "Allow", "Action": "codebuild:StartBuild", "Resource": project}
    lambda_role = make_role(emulator, "lambda-role", "lambda.amazonaws.com", start)
    role_without_policy = make_role(emulator, "role-without-policy", "events.amazonaws.com")
    url, queue = make_queue(emulator, "roles", rule_arn(emulator, "roles"))
    dead_letters = {"DeadLetterConfig": {"Arn": queue}}
    make_rule(
        emulator,
        "roles",
        {"source": ["roles"]},
        {"Arn": project, "RoleArn": lambda_role, **dead_letters},
        {"Arn": project, "RoleArn": role_without_policy, **dead_letters},
    )
    put_event(emulator, "roles")
    attributes = [receive(emulator, url)["MessageAttributes"] for _ in range(2)]
    assert {each["ERROR_CODE"]["StringValue"] for each in attributes} == {"NO_PERMISSIONS"}
    first, second = sorted(each["ERROR_MESSAGE"]["StringValue"] for each in attributes)
    session = (
        f"arn:aws:sts::{emulator.account_id}:assumed-role/{role_without_policy.rpartition('/')[2]}/events"
    )
    assert first.endswith(
        f"User: {session} is not authorized to perform: codebuild:StartBuild on resource: {project} "
        "because no identity-based policy allows the codebuild:StartBuild action"
    )
    assert second == f"{lambda_role} does not trust events.amazonaws.com"
