"""Limits that the service models do not have: sizes, names, tags and default quotas.

Each check yields violations, which are worded as those of the model, or raises the service's own error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator.validation import (
    quotas_alarms,
    quotas_events,
    quotas_iam,
    quotas_lambda,
    quotas_messages,
    quotas_s3,
    quotas_tags,
)
from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
Check = Callable[[Parameters, str], Iterator[Violation]]
KIB, MIB = 2**10, 2**20

MAX_SCHEDULER_INPUT_BYTES = 256 * KIB  # EventBridge Scheduler quotas, invocation payload
MAX_KEY_POLICY_BYTES = 32 * KIB  # KMS quotas, key policy document
KEY_DELETION_DAYS = (7, 30)  # API reference, ScheduleKeyDeletion
MAX_LOG_BATCH_BYTES = MIB  # API reference, PutLogEvents
LOG_EVENT_OVERHEAD = 26  # the same page: bytes per event
# API reference, PutRetentionPolicy
RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
MAX_GROUP_TEXT = 255  # EC2 API reference, CreateSecurityGroup: GroupName and GroupDescription
GROUP_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*")
MAX_ENDPOINT_POLICY = 20_480  # VPC quotas, VPC endpoint policy in characters


def exceeded(service: str, operation: str, parameters: Parameters, region: str) -> Iterator[Violation]:
    """Limits that a request exceeds.

    Raises:
        ServiceError: a limit with an error of its own.
    """
    yield from quotas_tags.exceeded(service, operation, parameters)
    if service == "s3":
        yield from quotas_s3.exceeded(parameters)
    for check in CHECKS.get((service, operation), ()):
        yield from check(parameters, region)


def _schedule(parameters: Parameters, _region: str) -> Iterator[Violation]:
    text = parameters["Target"].get("Input") or ""
    if len(text.encode()) > MAX_SCHEDULER_INPUT_BYTES:
        yield _too_long("target.input", MAX_SCHEDULER_INPUT_BYTES, None)


# -- KMS, logs, alarms, EC2 ------------------------------------------------------------------------------
def _key_policy(parameters: Parameters, _region: str) -> Iterator[Violation]:
    if len((parameters.get("Policy") or "").encode()) > MAX_KEY_POLICY_BYTES:
        raise ServiceError("LimitExceededException", f"The key policy exceeds {MAX_KEY_POLICY_BYTES} bytes.")
    yield from ()


def _key_deletion(parameters: Parameters, _region: str) -> Iterator[Violation]:
    low, high = KEY_DELETION_DAYS
    days = parameters.get("PendingWindowInDays")
    if days is not None and not low <= days <= high:
        text = f"Member must have value between {low} and {high}"
        yield Violation("pendingWindowInDays", "range", text, str(days))


def _log_events(parameters: Parameters, _region: str) -> Iterator[Violation]:
    size = sum(len(event["message"].encode()) + LOG_EVENT_OVERHEAD for event in parameters["logEvents"])
    if size > MAX_LOG_BATCH_BYTES:
        text = f"Upload too large: {size} bytes exceeds limit of {MAX_LOG_BATCH_BYTES}"
        raise ServiceError("InvalidParameterException", text)
    yield from ()


def _retention(parameters: Parameters, _region: str) -> Iterator[Violation]:
    days = parameters["retentionInDays"]
    if days not in RETENTION_DAYS:
        text = f"Member must satisfy enum value set: [{', '.join(map(str, RETENTION_DAYS))}]"
        yield Violation("retentionInDays", "enum", text, str(days))


def _security_group(parameters: Parameters, _region: str) -> Iterator[Violation]:
    for member in ("GroupName", "Description"):
        yield from _group_text(member, str(parameters.get(member) or ""))


def _security_group_rules(parameters: Parameters, _region: str) -> Iterator[Violation]:
    for permission in parameters.get("IpPermissions") or []:
        ranges = (items for name, items in permission.items() if isinstance(items, list) and items)
        for item in (item for items in ranges for item in items):
            yield from _group_text("Description", str(item.get("Description") or ""))


def _group_text(member: str, text: str) -> Iterator[Violation]:
    if len(text) > MAX_GROUP_TEXT or not GROUP_TEXT.fullmatch(text):
        rule = (
            f"Invalid security group {member}: at most {MAX_GROUP_TEXT} of a-zA-Z0-9 ._-:/()#,@[]+=&;{{}}!$*"
        )
        yield Violation(member, "pattern", rule, text)


def _endpoint_policy(parameters: Parameters, _region: str) -> Iterator[Violation]:
    text = parameters.get("PolicyDocument") or ""
    if len(text) > MAX_ENDPOINT_POLICY:
        yield _too_long("PolicyDocument", MAX_ENDPOINT_POLICY, text)


def _too_long(path: str, limit: int, value: str | None) -> Violation:
    return Violation(path, "length", f"Member must have length less than or equal to {limit}", value)


CHECKS: Mapping[tuple[str, str], tuple[Check, ...]] = {
    ("ec2", "AuthorizeSecurityGroupEgress"): (_security_group_rules,),
    ("ec2", "AuthorizeSecurityGroupIngress"): (_security_group_rules,),
    ("ec2", "CreateSecurityGroup"): (_security_group,),
    ("ec2", "CreateVpcEndpoint"): (_endpoint_policy,),
    ("ec2", "ModifyVpcEndpoint"): (_endpoint_policy,),
    ("kms", "CreateKey"): (_key_policy,),
    ("kms", "PutKeyPolicy"): (_key_policy,),
    ("kms", "ScheduleKeyDeletion"): (_key_deletion,),
    ("logs", "PutLogEvents"): (_log_events,),
    ("logs", "PutRetentionPolicy"): (_retention,),
    ("scheduler", "CreateSchedule"): (_schedule,),
    ("scheduler", "UpdateSchedule"): (_schedule,),
    **quotas_alarms.CHECKS,
    **quotas_events.CHECKS,
    **quotas_iam.CHECKS,
    **quotas_lambda.CHECKS,
    **quotas_messages.CHECKS,
    **quotas_s3.CHECKS,
}
