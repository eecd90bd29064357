"""Dead-letter queue: retention, alarm and permissions to send."""

import json

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.iam import policy
from tests import pulumi_engine
from tests.pulumi_engine import Recording

TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
RULE_ARN = "arn:aws:events:ap-northeast-2:123456789012:rule/run-prepared"
QUEUE_ARN = "arn:aws:sqs:ap-northeast-2:123456789012:letters"


def build() -> Recording:
    args = DeadLetterQueueArgs(
        alarm_topic_arn=TOPIC_ARN, contents="Runs", senders={"events.amazonaws.com": RULE_ARN}
    )
    return pulumi_engine.run(lambda: policy([DeadLetterQueue("letters", args).grant_send()]))


def test_messages_are_encrypted_and_kept_for_two_weeks() -> None:
    inputs = build().one("aws:sqs/queue:Queue").inputs
    assert inputs["sqsManagedSseEnabled"] is True
    assert inputs["messageRetentionSeconds"] == 14 * 24 * 3600


def test_first_message_starts_the_alarm() -> None:
    inputs = build().one("aws:cloudwatch/metricAlarm:MetricAlarm").inputs
    assert inputs["metricName"] == "ApproximateNumberOfMessagesVisible"
    assert inputs["dimensions"] == {"QueueName": "letters-1a2b3c"}
    assert (inputs["comparisonOperator"], inputs["threshold"]) == ("GreaterThanThreshold", 0)
    assert inputs["alarmActions"] == [TOPIC_ARN]


def test_queue_policy_restricts_senders_to_their_source_over_tls() -> None:
    document = json.loads(build().one("aws:sqs/queuePolicy:QueuePolicy").inputs["policy"])
    tls, sender = document["Statement"]
    assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert sender["Principal"] == {"Service": "events.amazonaws.com"}
    assert sender["Condition"] == {"ArnEquals": {"aws:SourceArn": RULE_ARN}}
    assert sender["Resource"] == QUEUE_ARN


def test_send_permission_names_the_queue_only() -> None:
    (statement,) = json.loads(build().values)["Statement"]
    assert statement == {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [QUEUE_ARN]}
