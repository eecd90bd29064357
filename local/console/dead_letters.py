"""Messages in the dead-letter queues of a stage, with their reasons."""

from __future__ import annotations

from typing import Any

from local.console.source import Source
from local.dead_letters import error_of

QUEUE_OUTPUT = "_dead_letter_queue_url"
N_MESSAGES = 10  # maximum of ReceiveMessage
MAX_BODY = 400  # characters on the page


def dead_letters(source: Source) -> list[dict[str, Any]]:
    """Queues with messages: `queue`, `count` and up to `N_MESSAGES` `messages` with `reason` and `body`.

    Messages stay in their queues and visible. A read-only source gets the counts without the messages,
    because receiving a message changes its receive count.
    """
    sqs = source.client("sqs")
    found = []
    for name, url in sorted(source.outputs.items()):
        if not name.endswith(QUEUE_OUTPUT):
            continue
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        count = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
        if count:
            queue = name.removesuffix(QUEUE_OUTPUT).replace("_", " ")
            messages = [] if source.is_read_only else _messages(sqs, url)
            found.append({"queue": queue, "count": count, "messages": messages})
    return found


def _messages(sqs: Any, url: str) -> list[dict[str, str]]:
    received = sqs.receive_message(
        QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"], MaxNumberOfMessages=N_MESSAGES
    )
    return [
        {"reason": error_of(message), "body": message["Body"][:MAX_BODY]}
        for message in received.get("Messages", [])
    ]
