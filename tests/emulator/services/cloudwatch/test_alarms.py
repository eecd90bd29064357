"""Alarms of CloudWatch: metrics of services and clients, evaluation, actions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import PROVIDERS, Emulator
from emulator.services.cloudwatch.provider import CloudWatchProvider
from tests.emulator.support import document, make_function, make_queue

FAILS = "def handler(event, context): raise KeyError('x')"
EMBEDDED = """
import json
def handler(event, context):
    directive = {"Namespace": "Shop", "Dimensions": [["Place"]], "Metrics": [{"Name": "Visits"}]}
    metadata = {"Timestamp": event["at"], "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": metadata, "Place": "a", "Visits": [1, 4]}))
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator that evaluates alarms when they are described."""
    providers = {
        **PROVIDERS,
        "cloudwatch": lambda wiring: CloudWatchProvider(wiring.host, wiring.emit, interval_s=600),
    }
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        yield running


@pytest.fixture(autouse=True)
def new_minute(emulator: Emulator) -> None:
    """Each test begins at the start of a minute, long after the one before."""
    metrics = emulator.host.metrics
    metrics.advance(86_400 + 60 - metrics.now() % 60)


def put_alarm(emulator: Emulator, name: str, **settings: Any) -> None:
    defaults = {
        "Namespace": "Shop",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "Place", "Value": "a"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 2,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    if "Metrics" in settings:
        for each in ("Namespace", "MetricName", "Dimensions", "Statistic", "Period"):
            del defaults[each]
    emulator.client("cloudwatch").put_metric_alarm(AlarmName=name, **{**defaults, **settings})


def put(emulator: Emulator, value: float | None, name: str = "Errors", **more: Any) -> None:
    values = {} if "Values" in more else {"Value": value}
    datum = {"MetricName": name, "Dimensions": [{"Name": "Place", "Value": "a"}], **values, **more}
    emulator.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[datum])


def state(emulator: Emulator, name: str) -> str:
    (alarm,) = emulator.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarm["StateValue"])


def test_alarm_starts_above_its_threshold_and_ends_a_period_later(emulator: Emulator) -> None:
    put_alarm(emulator, "sum")
    put(emulator, 2)
    assert state(emulator, "sum") == "OK"
    put(emulator, 1)
    assert state(emulator, "sum") == "ALARM"
    emulator.host.metrics.advance(60)
    assert state(emulator, "sum") == "OK"


def test_other_dimensions_are_another_metric(emulator: Emulator) -> None:
    put_alarm(emulator, "dimensions")
    put(emulator, 9, Dimensions=[{"Name": "Place", "Value": "b"}])
    assert state(emulator, "dimensions") == "OK"


def test_all_periods_must_exceed_the_threshold(emulator: Emulator) -> None:
    put_alarm(emulator, "periods", EvaluationPeriods=2)
    put(emulator, 3)
    assert state(emulator, "periods") == "OK"
    emulator.host.metrics.advance(60)
    put(emulator, 3)
    assert state(emulator, "periods") == "ALARM"


def test_some_periods_are_enough_with_datapoints_to_alarm(emulator: Emulator) -> None:
    put_alarm(emulator, "some", EvaluationPeriods=3, DatapointsToAlarm=2)
    put(emulator, 3)
    emulator.host.metrics.advance(120)
    put(emulator, 3)
    assert state(emulator, "some") == "ALARM"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA")],
)
def test_missing_data(emulator: Emulator, missing: str, expected: str) -> None:
    put_alarm(emulator, f"no-data-{missing}", TreatMissingData=missing, Period=86_400)
    assert state(emulator, f"no-data-{missing}") == expected


def test_ignored_missing_data_keeps_the_state(emulator: Emulator) -> None:
    put_alarm(emulator, "ignored", TreatMissingData="ignore")
    put(emulator, 3)
    assert state(emulator, "ignored") == "ALARM"
    emulator.host.metrics.advance(60)
    assert state(emulator, "ignored") == "ALARM"


def test_percentile_of_a_few_values_is_their_maximum(emulator: Emulator) -> None:
    client = emulator.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName="p99",
        Namespace="Shop",
        MetricName="Latency",
        Dimensions=[{"Name": "Place", "Value": "a"}],
        ExtendedStatistic="p99",
        Period=60,
        EvaluationPeriods=1,
        Threshold=9,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    put(emulator, None, "Latency", Values=[1.0, 9.0], Counts=[50.0, 1.0])
    assert state(emulator, "p99") == "ALARM"
    put(emulator, None, "Latency", Values=[1.0], Counts=[80.0])
    assert state(emulator, "p99") == "OK"


def expression(emulator: Emulator, name: str, text: str) -> None:
    """Alarm on an expression of the metrics Errors and Visits."""
    metrics = [
        {
            "Id": metric.lower(),
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": "Shop",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "Place", "Value": "a"}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for metric in ("Errors", "Visits")
    ]
    put_alarm(emulator, name, Threshold=5, Metrics=[*metrics, {"Id": "value", "Expression": text}])


def test_expression_compares_a_rate_only_with_enough_failures(emulator: Emulator) -> None:
    expression(emulator, "rate", "IF(errors >= 3, 100 * errors / visits, 0)")
    put(emulator, 10, "Visits")
    put(emulator, 2)
    assert state(emulator, "rate") == "OK"
    put(emulator, 1)
    assert state(emulator, "rate") == "ALARM"


def test_missing_operand_is_0_and_a_division_by_it_has_no_data_point(emulator: Emulator) -> None:
    put(emulator, 10)
    expression(emulator, "sum", "errors + visits")
    assert state(emulator, "sum") == "ALARM"
    expression(emulator, "quotient", "errors / visits")
    assert state(emulator, "quotient") == "OK"
    expression(emulator, "quotient", "errors / FILL(visits, 1)")
    assert state(emulator, "quotient") == "ALARM"


def test_array_has_time_series(emulator: Emulator) -> None:
    expression(emulator, "array", "MAX([errors, FILL(visits, 0)])")
    put(emulator, 6)
    assert state(emulator, "array") == "ALARM"


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os')", "errors.real", "ANOMALY(errors)", "errors +", "IF(1)"),
        *("MAX([errors, 1])", "MAX(errors)", "ABS([errors, visits])"),
    ],
)
def test_expression_that_is_not_supported_is_refused(emulator: Emulator, text: str) -> None:
    with pytest.raises(ClientError, match=r"metric math|not support"):
        expression(emulator, "refused", text)


def test_failing_function_is_an_error_of_lambda(emulator: Emulator) -> None:
    make_function(emulator, "fails", FAILS)
    dimensions = [{"Name": "FunctionName", "Value": "fails"}]
    put_alarm(emulator, "function", Namespace="AWS/Lambda", Dimensions=dimensions, Threshold=0)
    emulator.client("lambda").invoke(FunctionName="fails", Payload=b"{}")
    assert state(emulator, "function") == "ALARM"
    found = emulator.client("cloudwatch").list_metrics(Namespace="AWS/Lambda", MetricName="Errors")["Metrics"]
    assert {"Name": "FunctionName", "Value": "fails"} in [each["Dimensions"][0] for each in found]


def test_log_event_in_the_embedded_metric_format_is_a_metric(emulator: Emulator) -> None:
    make_function(emulator, "visits", EMBEDDED)
    put_alarm(emulator, "embedded", MetricName="Visits", Threshold=4)
    event = {"at": int(time.time() * 1000)}  # the function has the machine's clock
    emulator.client("lambda").invoke(FunctionName="visits", Payload=json.dumps(event).encode())
    assert state(emulator, "embedded") == "ALARM"


def topic_with_inbox(emulator: Emulator, name: str, *publishers: str) -> tuple[str, str]:
    """Topic that services may publish to, and the URL of a queue that is subscribed to it."""
    sns = emulator.client("sns")
    arn = sns.create_topic(Name=name)["TopicArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": list(publishers)},
        "Action": "sns:Publish",
        "Resource": arn,
        "Condition": {"StringEquals": {"aws:SourceAccount": emulator.account_id}},
    }
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document(allow))
    url, queue = make_queue(emulator, name)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)
    return arn, url


def received(emulator: Emulator, url: str) -> list[dict[str, Any]]:
    found = emulator.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(each["Body"]) for each in found]


def test_change_of_state_is_published_once(emulator: Emulator) -> None:
    topic, url = topic_with_inbox(emulator, "notified", "cloudwatch.amazonaws.com")
    put_alarm(emulator, "notifies", AlarmActions=[topic], OKActions=[topic], AlarmDescription="Look there.")
    put(emulator, 3)
    assert [state(emulator, "notifies") for _ in range(2)] == ["ALARM", "ALARM"]
    (message,) = received(emulator, url)
    assert message["Subject"].startswith('ALARM: "notifies"')
    content = json.loads(message["Message"])
    assert (content["NewStateValue"], content["OldStateValue"]) == ("ALARM", "OK")
    assert content["AlarmDescription"] == "Look there."


def test_topic_whose_policy_does_not_allow_it_gets_nothing(emulator: Emulator) -> None:
    topic, url = topic_with_inbox(emulator, "closed", "events.amazonaws.com")
    put_alarm(emulator, "refused-action", AlarmActions=[topic])
    put(emulator, 3)
    assert state(emulator, "refused-action") == "ALARM"
    assert received(emulator, url) == []


def test_state_that_was_set_lasts_until_the_next_evaluation(emulator: Emulator) -> None:
    put_alarm(emulator, "set")
    emulator.client("cloudwatch").set_alarm_state(AlarmName="set", StateValue="ALARM", StateReason="test")
    assert state(emulator, "set") == "ALARM"
    emulator.host.metrics.advance(11)
    assert state(emulator, "set") == "OK"
