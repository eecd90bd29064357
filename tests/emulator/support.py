"""Resources that the emulator's tests create with boto3 clients."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Mapping
from typing import Any

from emulator.app import Emulator
from tests.polling import eventually

WAIT_S = 20.0


def zipped(files: Mapping[str, str], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Zip archive of executable files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            archive.writestr(info, content, compression)
    return buffer.getvalue()


def make_role(emulator: Emulator, name: str, service: str, *statements: dict[str, Any]) -> str:
    """Create a role that a service may assume, with an inline policy; return its ARN."""
    iam = emulator.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=document(*statements))
    return str(role["Arn"])


def document(*statements: Mapping[str, Any]) -> str:
    """Policy document of statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def make_bucket(emulator: Emulator, name: str, *, events: bool = False, versions: bool = False) -> str:
    """Create a bucket in the emulator's region; return its name."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.region})
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if events:
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    return name


# Lambda and other services write the log of their user's code with the code's role.
WRITE_LOGS = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}


def make_function(emulator: Emulator, name: str, code: str, **settings: Any) -> str:
    """Create a function whose package is one file, ``app.py``; return its ARN."""
    allows = (WRITE_LOGS, *settings.pop("allows", ()))
    role = make_role(emulator, f"{name}-role", "lambda.amazonaws.com", *allows)
    created = emulator.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": zipped({"app.py": code})},
        **{"Timeout": 10, "MemorySize": 256, **settings},
    )
    return str(created["FunctionArn"])


def make_queue(emulator: Emulator, name: str, *rule_arns: str) -> tuple[str, str]:
    """Create a queue that these rules may send to; return (URL, ARN)."""
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{emulator.region}:{emulator.account_id}:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": list(rule_arns)}},
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(statement)})
    return url, arn


def rule_arn(emulator: Emulator, name: str) -> str:
    """ARN of a rule on the default bus."""
    return f"arn:aws:events:{emulator.region}:{emulator.account_id}:rule/{name}"


def make_rule(emulator: Emulator, name: str, pattern: Mapping[str, Any], *targets: Mapping[str, Any]) -> str:
    """Create a rule with its targets; return its ARN."""
    events = emulator.client("events")
    arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": str(n), **target} for n, target in enumerate(targets)])
    return str(arn)


def receive(emulator: Emulator, queue_url: str, timeout_s: float = WAIT_S) -> dict[str, Any]:
    """Receive and delete the next message of a queue."""
    sqs = emulator.client("sqs")

    def look() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])
        return list(found.get("Messages", []))

    message = eventually(look, timeout_s)[0]
    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return message


def is_empty(emulator: Emulator, queue_url: str, settle_s: float = 0.3) -> bool:
    """Whether a queue is still empty after ``settle_s``."""
    time.sleep(settle_s)
    return "Messages" not in emulator.client("sqs").receive_message(QueueUrl=queue_url)
