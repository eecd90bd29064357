"""Notifications of a stage, received as a person receives them by e-mail."""

from __future__ import annotations

import json
from typing import Any

from emulator.environment import make_client
from local.aws import DeployedStage


class Inbox:
    """SQS queue that is subscribed to the alarm topic of a stage, as an e-mail address is.

    In another region, because `local.chain` takes the messages of the stage's queues for dead letters.
    """

    def __init__(self, stage: DeployedStage) -> None:
        self._sqs, sns = make_client("sqs", stage.url, "us-east-1"), stage.client("sns")
        self._url = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        arn, topic = attributes["Attributes"]["QueueArn"], stage.outputs["alarm_topic_arn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def receive(self) -> list[dict[str, Any]]:
        """The notifications since the last call; `Subject` and `Message` are their texts."""
        received = []
        while batch := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                received.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return received


def text_of(notification: dict[str, Any]) -> str:
    """Subject, if there is one, and message in one text."""
    return f"{notification.get('Subject', '')} {notification['Message']}".strip().strip('"')
