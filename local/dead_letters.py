"""Dead-letter queues of a deployed stage."""

from __future__ import annotations

from typing import Any


def find_dead_letter(sqs: Any, text: str) -> str | None:
    """Queue name and error of the first dead letter whose body contains a text; None without one.

    Messages stay in their queues.
    """
    for url in sqs.list_queues().get("QueueUrls", []):
        received = sqs.receive_message(
            QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"], MaxNumberOfMessages=1
        )
        for message in received.get("Messages", []):
            if text in message["Body"]:
                return f"{url.rsplit('/', 1)[-1]}: {error_of(message)}"
    return None


def error_of(message: dict[str, Any]) -> str:
    """The error that EventBridge (``ERROR_MESSAGE``) or Lambda (``ErrorMessage``) added to a message."""
    attributes = message.get("MessageAttributes", {})
    values = [attributes.get(name, {}).get("StringValue") for name in ("ERROR_MESSAGE", "ErrorMessage")]
    return next(filter(None, values), "no reason given")
