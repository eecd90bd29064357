"""EventBridge Scheduler: due times, targets, roles, retries, dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import PROVIDERS, Emulator
from emulator.delivery import Backoff, RetryPolicy
from emulator.provider import Forward, Provider
from emulator.services.scheduler.provider import SchedulerProvider
from emulator.services.scheduler.targets import Target, TargetError
from emulator.wire import Operation, Request, Response, ServiceError
from tests.emulator.support import is_empty, make_function, make_role, receive
from tests.polling import eventually

SERVICE = "scheduler.amazonaws.com"
SEND = "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"
CONTEXT = "<aws.scheduler.scheduled-time> <aws.scheduler.attempt-number> <aws.scheduler.schedule-arn>"


class ThrottledQueue(Provider):
    """SQS whose queue ``encrypted`` is throttled by KMS; records the messages that it refuses."""

    def __init__(self, forward: Forward, refused: list[str]) -> None:
        self._forward = forward
        self._refused = refused

    def operations(self) -> dict[str, Operation]:
        return {"AmazonSQS.SendMessage": self._send_message}

    def _send_message(self, request: Request) -> Response:
        if not request.json["QueueUrl"].endswith("/encrypted"):
            return self._forward(request)
        self._refused.append(request.json["MessageBody"])
        raise ServiceError("KMS.ThrottlingException", "Rate exceeded")  # botocore does not retry it


@pytest.fixture(scope="module")
def refused() -> list[str]:
    """Messages that the throttled queue refused."""
    return []


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, refused: list[str]) -> Iterator[Emulator]:
    """Emulator that retries at once and checks the schedules every 50 ms."""
    policy = RetryPolicy(max_retries=185, max_age_s=86_400, backoff=Backoff(first_s=0.01, longest_s=0.02))
    providers = {
        **PROVIDERS,
        "sqs": lambda wiring: ThrottledQueue(wiring.forward, refused),
        "scheduler": lambda wiring: SchedulerProvider(
            wiring.host, wiring.forward, retry_policy=policy, tick_s=0.05
        ),
    }
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        yield running


@pytest.fixture
def queues(emulator: Emulator) -> Iterator[tuple[str, str]]:
    """URLs of a queue and a dead-letter queue."""
    sqs = emulator.client("sqs")
    urls = tuple(sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("calls", "dead-letters"))
    yield urls
    for url in urls:
        sqs.delete_queue(QueueUrl=url)


@pytest.fixture(scope="module")
def role(emulator: Emulator) -> str:
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:*:*:*"}
    return make_role(emulator, "schedules", SERVICE, allow)


def queue_arn(emulator: Emulator, name: str) -> str:
    return f"arn:aws:sqs:{emulator.region}:{emulator.account_id}:{name}"


def soon() -> datetime:
    return (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)


def schedule(
    emulator: Emulator, name: str, target: dict[str, Any], expression: str = "rate(1 hour)", **more: Any
) -> str:
    """Create a schedule, by default one that is due at once; return its ARN."""
    return emulator.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression=expression,
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
        **more,
    )["ScheduleArn"]


def send(url: str, role: str, body: str = CONTEXT, **more: Any) -> dict[str, Any]:
    return {"Arn": SEND, "RoleArn": role, "Input": json.dumps({"QueueUrl": url, "MessageBody": body}), **more}


def test_one_time_schedule_calls_target_once_with_context(
    emulator: Emulator, queues: tuple[str, str], role: str
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    due = f"at({soon():%Y-%m-%dT%H:%M:%S})"
    arn = schedule(emulator, "once", send(queues[0], role), due, ActionAfterCompletion="DELETE")

    moment, attempt, named = receive(emulator, queues[0])["Body"].split()

    assert before < datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) <= datetime.now(UTC)
    assert (attempt, named) == ("1", arn)
    names = [found["Name"] for found in emulator.client("scheduler").list_schedules()["Schedules"]]
    assert "once" not in names  # ActionAfterCompletion
    assert is_empty(emulator, queues[0])


def test_rate_is_due_at_creation_unless_disabled(
    emulator: Emulator, queues: tuple[str, str], role: str
) -> None:
    schedule(emulator, "off", send(queues[0], role, "off"), State="DISABLED")
    schedule(emulator, "later", send(queues[0], role, "later"), "cron(0 0 1 1 ? 2199)")
    schedule(emulator, "on", send(queues[0], role, "on"))

    assert receive(emulator, queues[0])["Body"] == "on"
    assert is_empty(emulator, queues[0])


def test_function_receives_scheduled_event(emulator: Emulator) -> None:
    code = "import json\ndef handler(event, context):\n    print('got', json.dumps(event))"
    function = make_function(emulator, "nightly", code)
    allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}
    role = make_role(emulator, "calls-a-function", SERVICE, allow)

    arn = schedule(emulator, "function", {"Arn": function, "RoleArn": role})

    def lines() -> list[str]:
        found = emulator.client("logs").filter_log_events(logGroupName="/aws/lambda/nightly")["events"]
        return [event["message"] for event in found if event["message"].startswith("got")]

    event = json.loads(eventually(lambda: _none_without_log_group(lines))[0].removeprefix("got "))
    assert (event["detail-type"], event["source"], event["resources"]) == (
        "Scheduled Event",
        "aws.scheduler",
        [arn],
    )


def _none_without_log_group(look: Any) -> Any:
    try:
        return look()
    except ClientError:
        return None  # the log group does not exist yet


def test_permanent_error_is_dead_lettered_without_retry(
    emulator: Emulator, queues: tuple[str, str], role: str
) -> None:
    gone = queues[0].replace("calls", "gone")
    dead_letters = {"DeadLetterConfig": {"Arn": queue_arn(emulator, "dead-letters")}}

    arn = schedule(emulator, "nowhere", send(gone, role, "hello", **dead_letters))

    dead_letter = receive(emulator, queues[1])
    attributes = {name: value["StringValue"] for name, value in dead_letter["MessageAttributes"].items()}
    assert json.loads(dead_letter["Body"]) == {"QueueUrl": gone, "MessageBody": "hello"}
    assert (attributes["SCHEDULE_ARN"], attributes["TARGET_ARN"], attributes["RETRY_ATTEMPTS"]) == (
        arn,
        SEND,
        "0",
    )
    assert "NonExistentQueue" in attributes["ERROR_CODE"]
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes


def test_throttled_call_is_retried_according_to_the_policy(
    emulator: Emulator, queues: tuple[str, str], role: str, refused: list[str]
) -> None:
    encrypted = emulator.client("sqs").create_queue(QueueName="encrypted")["QueueUrl"]
    retries = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
    dead_letters = {"Arn": queue_arn(emulator, "dead-letters")}
    body = "try-<aws.scheduler.attempt-number>"
    target = send(encrypted, role, body, RetryPolicy=retries, DeadLetterConfig=dead_letters)

    schedule(emulator, "busy", target)

    attributes = receive(emulator, queues[1])["MessageAttributes"]
    assert refused == ["try-1", "try-2", "try-3"]
    assert attributes["ERROR_CODE"]["StringValue"] == "KMS.ThrottlingException"
    assert attributes["EXHAUSTED_RETRY_CONDITION"]["StringValue"] == "MaximumRetryAttempts"
    assert attributes["RETRY_ATTEMPTS"]["StringValue"] == "2"


def test_role_without_permission_makes_no_call(emulator: Emulator, queues: tuple[str, str]) -> None:
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn(emulator, "dead-letters")}
    role = make_role(emulator, "dead-letters-only", SERVICE, allow)
    target = {
        "Arn": queue_arn(emulator, "calls"),
        "RoleArn": role,
        "Input": "hello",
        "DeadLetterConfig": {"Arn": queue_arn(emulator, "dead-letters")},
    }

    schedule(emulator, "forbidden", target)

    attributes = receive(emulator, queues[1])["MessageAttributes"]
    assert attributes["ERROR_CODE"]["StringValue"] == "AccessDenied"  # SQS's code
    assert is_empty(emulator, queues[0])


def test_input_members_ignore_case_of_first_letter() -> None:
    target = Target("arn:aws:scheduler:::aws-sdk:emr:runJobFlow")

    call = target.call('{"name": "prepare", "Instances": {"instanceCount": 1}, "steps": [{"name": "one"}]}')

    assert (call.service, call.method, call.action) == ("emr", "run_job_flow", "elasticmapreduce:RunJobFlow")
    assert call.parameters == {
        "Name": "prepare",
        "Instances": {"InstanceCount": 1},
        "Steps": [{"Name": "one"}],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression": "cron(0 2 * * *)"}, "5 fields instead of 6"),
        ({"ScheduleExpressionTimezone": "Asia/Nowhere"}, "unknown time zone"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:emr:describeCluster"}, "cannot call read-only actions"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:emr:runJobFlows"}, "emr has no action 'runJobFlows'"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:emrr:runJobFlow"}, "no service 'emrr'"),
        ({"Arn": "arn:aws:states:ap-northeast-2:123456789012:stateMachine:x"}, "do not support the target"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/absent"}, "must allow AWS EventBridge Scheduler"),
    ],
)
def test_invalid_schedule_is_refused(
    emulator: Emulator, role: str, change: dict[str, str], message: str
) -> None:
    target = {"Arn": SEND, "RoleArn": role} | {k: v for k, v in change.items() if k in ("Arn", "RoleArn")}
    more = {k: v for k, v in change.items() if k == "ScheduleExpressionTimezone"}

    with pytest.raises(ClientError, match=message) as refused:
        schedule(emulator, "never", target, change.get("expression", "rate(1 day)"), **more)

    assert refused.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("payload", ["no JSON", "[]"])
def test_input_that_is_not_an_object_is_refused(payload: str) -> None:
    with pytest.raises(TargetError, match="not"):
        Target(SEND).call(payload)


def test_update_replaces_all_values(emulator: Emulator, role: str) -> None:
    # API reference, UpdateSchedule: what is left out gets its default.
    target = {"Arn": SEND, "RoleArn": role, "Input": json.dumps({"QueueUrl": "u", "MessageBody": "b"})}
    changed = {
        "Description": "d",
        "ScheduleExpressionTimezone": "Asia/Seoul",
        "ActionAfterCompletion": "DELETE",
    }
    schedule(emulator, "replaced", target, "cron(0 2 * * ? 2099)", State="DISABLED", **changed)
    client = emulator.client("scheduler")
    client.update_schedule(
        Name="replaced",
        ScheduleExpression="cron(0 3 * * ? 2099)",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
        Target=target,
    )
    found = client.get_schedule(Name="replaced")
    assert (found["State"], found["ActionAfterCompletion"]) == ("ENABLED", "NONE")
    assert found["ScheduleExpressionTimezone"] == "UTC"
    assert not found.get("Description")
    client.delete_schedule(Name="replaced")


@pytest.mark.parametrize("window", [{"Mode": "FLEXIBLE"}, {"Mode": "OFF", "MaximumWindowInMinutes": 5}])
def test_flexible_window_has_a_length_and_no_other_does(
    emulator: Emulator, role: str, window: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match="MaximumWindowInMinutes"):
        emulator.client("scheduler").create_schedule(
            Name="window",
            ScheduleExpression="rate(1 day)",
            FlexibleTimeWindow=window,
            Target={"Arn": SEND, "RoleArn": role, "Input": "{}"},
        )
