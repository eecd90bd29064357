"""Alarm topic and metric alarms."""

import json

import pulumi
import pytest

from components.alarm import AlarmTopic, AlarmTopicArgs, Threshold, metric_alarm
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"


def topic() -> Recording:
    args = AlarmTopicArgs(kms_key_arn=KEY_ARN, account_id=ACCOUNT, email="oncall@example.com")
    return pulumi_engine.run(lambda: AlarmTopic("alarms", args).arn)


def alarm(statistic: str) -> dict[str, object]:
    threshold = Threshold(
        namespace="AWS/SageMaker",
        metric="ModelLatency",
        dimensions={"EndpointName": "ncf-dev"},
        statistic=statistic,
        above=300_000,
        n_periods=3,
        description="slow",
    )
    done = pulumi_engine.run(
        lambda: metric_alarm("latency", threshold, TOPIC_ARN, pulumi.ResourceOptions()).name
    )
    return done.one("aws:cloudwatch/metricAlarm:MetricAlarm").inputs


def test_topic_is_encrypted_and_has_the_email_subscription() -> None:
    done = topic()
    assert done.one("aws:sns/topic:Topic").inputs["kmsMasterKeyId"] == KEY_ARN
    subscription = done.one("aws:sns/topicSubscription:TopicSubscription").inputs
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "oncall@example.com")


def test_topic_policy_allows_services_of_the_account_over_tls() -> None:
    document = json.loads(topic().one("aws:sns/topicPolicy:TopicPolicy").inputs["policy"])
    publishers, rules, tls = document["Statement"]
    assert publishers["Principal"]["Service"] == ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    assert rules["Principal"]["Service"] == "events.amazonaws.com"
    assert publishers["Action"] == rules["Action"] == "sns:Publish"
    assert publishers["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_alarm_notifies_start_and_end_and_ignores_missing_data() -> None:
    inputs = alarm("Sum")
    assert inputs["alarmActions"] == inputs["okActions"] == [TOPIC_ARN]
    assert inputs["treatMissingData"] == "notBreaching"
    assert inputs["evaluationPeriods"] == 3


def test_percentile_is_an_extended_statistic() -> None:
    assert alarm("p99")["extendedStatistic"] == "p99"
    assert "statistic" not in alarm("p99")
    assert alarm("Sum")["statistic"] == "Sum"


def test_invalid_email_is_refused() -> None:
    with pytest.raises(ValueError, match="write an address"):
        AlarmTopicArgs(kms_key_arn=KEY_ARN, account_id=ACCOUNT, email="oncall")
