"""Rules of SNS and SQS that their service models do not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
# API reference, Publish: ASCII that begins with a letter, number or punctuation mark, without line breaks and
# control characters. The page says "less than 100 characters"; SNS accepts 100.
SUBJECT = re.compile(r"[!-~][ -~]{0,99}")
# API reference, SetQueueAttributes
RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1_024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}


def _publish(parameters: Parameters, _region: str) -> Iterator[Violation]:
    subject = parameters.get("Subject")
    if subject is not None and not SUBJECT.fullmatch(subject):
        raise ServiceError("InvalidParameter", "Invalid parameter: Subject")
    if not parameters.get("Message"):
        raise ServiceError("InvalidParameter", "Invalid parameter: Empty message")
    yield from ()


def _queue(parameters: Parameters, _region: str) -> Iterator[Violation]:
    for name, value in (parameters.get("Attributes") or {}).items():
        low, high = RANGES.get(name, (0, 0))
        if name in RANGES and not (value.isdecimal() and low <= int(value) <= high):
            raise ServiceError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
    yield from ()


CHECKS = {
    ("sns", "Publish"): (_publish,),
    ("sqs", "CreateQueue"): (_queue,),
    ("sqs", "SetQueueAttributes"): (_queue,),
}
