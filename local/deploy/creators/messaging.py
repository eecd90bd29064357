"""Creators of SQS queues and SNS topics."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, tag_list
from local.deploy.inputs import Inputs

MAX_QUEUE_NAME = 80  # SQS API, CreateQueue
MAX_TOPIC_NAME = 256  # SNS API, CreateTopic


def _text(values: dict[str, Any]) -> dict[str, str]:
    """Attributes of both services are strings."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()
    }


def queue(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sqs = context.client("sqs")
    queue_name = context.name_of(inputs, name, max_length=MAX_QUEUE_NAME)
    attributes = _text(
        inputs.pick(
            {
                "messageRetentionSeconds": "MessageRetentionPeriod",
                "visibilityTimeoutSeconds": "VisibilityTimeout",
                "sqsManagedSseEnabled": "SqsManagedSseEnabled",
                "kmsMasterKeyId": "KmsMasterKeyId",
                "redrivePolicy": "RedrivePolicy",
            }
        )
    )
    tags = inputs.plain("tags", {})
    url = sqs.create_queue(QueueName=queue_name, Attributes=attributes, tags=tags)["QueueUrl"]
    read = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    inputs.compare(attributes | {"Tags": tags}, read | sqs.list_queue_tags(QueueUrl=url))
    return url, {"arn": read["QueueArn"], "name": queue_name, "url": url}


def queue_policy(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sqs = context.client("sqs")
    url = inputs["queueUrl"]
    sent = {"Policy": inputs["policy"]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=sent)
    read = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    inputs.compare(sent, read.get("Attributes", {}))
    return url, {}


def topic(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sns = context.client("sns")
    topic_name = context.name_of(inputs, name, max_length=MAX_TOPIC_NAME)
    attributes = _text(inputs.pick({"kmsMasterKeyId": "KmsMasterKeyId", "displayName": "DisplayName"}))
    tags = tag_list(inputs)
    arn = sns.create_topic(Name=topic_name, Attributes=attributes, Tags=tags)["TopicArn"]
    read = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    inputs.compare(attributes | {"Tags": tags}, read | sns.list_tags_for_resource(ResourceArn=arn))
    return arn, {"arn": arn, "name": topic_name, "owner": context.account_id}


def topic_policy(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sns = context.client("sns")
    arn = inputs["arn"]
    sent = {"Policy": inputs["policy"]}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=sent["Policy"])
    inputs.compare(sent, sns.get_topic_attributes(TopicArn=arn)["Attributes"])
    return arn, {"owner": context.account_id}


def topic_subscription(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sns = context.client("sns")
    sent = {"TopicArn": inputs["topic"], "Protocol": inputs["protocol"], "Endpoint": inputs["endpoint"]}
    arn = sns.subscribe(**sent, ReturnSubscriptionArn=True)["SubscriptionArn"]
    inputs.compare(sent, sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"])
    return arn, {"arn": arn, "ownerId": context.account_id, "pendingConfirmation": False}


CREATORS: dict[str, Creator] = {
    "aws:sqs/queue:Queue": queue,
    "aws:sqs/queuePolicy:QueuePolicy": queue_policy,
    "aws:sns/topic:Topic": topic,
    "aws:sns/topicPolicy:TopicPolicy": topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": topic_subscription,
}
