"""A resource that breaks each rule, and one that does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from policies.data import DEAD_LETTER_RETENTION_S
from policies.model import Resource

TLS = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
PLAIN_TEXT = {"Bool": {"aws:SecureTransport": "false"}}
BLOCKED = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)
LIFECYCLE = {
    "status": "Enabled",
    "filter": {"prefix": ""},
    "noncurrentVersionExpiration": {"noncurrentDays": 30},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
}


def resource(
    class_name: str, _on: Mapping[str, str] | None = None, *, protect: bool = False, **inputs: Any
) -> Resource:
    """Resource of a class; `_on` maps inputs to the classes of the resources that they refer to."""
    depends_on = {key: [f"urn:{other}"] for key, other in (_on or {}).items()}
    type_ = f"aws:module/type:{class_name}"
    urn = f"urn:{class_name}"
    return Resource(type=type_, name="it", urn=urn, inputs=inputs, protect=protect, depends_on=depends_on)


def policy(*statements: dict[str, Any]) -> str:
    """Policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: str, on: str = "*", principal: Any = None, **condition: Any) -> dict[str, Any]:
    """Allow statement."""
    return {
        "Effect": "Allow",
        **({} if principal is None else {"Principal": principal}),
        "Action": [action],
        "Resource": [on],
        **({"Condition": condition} if condition else {}),
    }


BUCKET, QUEUE, ENDPOINT = resource("Bucket"), resource("Queue"), resource("Endpoint", name="ncf-dev")
FUNCTION, EVENTS = resource("Function"), {"service": "events.amazonaws.com"}
TO_BUCKET, TO_QUEUE = {"bucket": "Bucket"}, {"queueUrl": "Queue"}
ALARM = {"namespace": "AWS/SageMaker", "dimensions": {"EndpointName": "ncf-dev"}}
SERVICE = {"Service": "codebuild.amazonaws.com"}

# Rule to resources that break it, and resources that satisfy it.
CASES: Mapping[str, tuple[Sequence[Resource], Sequence[Resource]]] = {
    "stored-data-encrypted": ([resource("LogGroup")], [resource("LogGroup", kmsKeyId="arn:key")]),
    "bucket-encrypted": (
        [BUCKET],
        [
            BUCKET,
            resource(
                "BucketServerSideEncryptionConfiguration",
                TO_BUCKET,
                rules=[{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}],
            ),
        ],
    ),
    "queue-encrypted": ([QUEUE], [resource("Queue", sqsManagedSseEnabled=True)]),
    "cluster-encrypted-at-rest": (
        [resource("SecurityConfiguration", configuration='{"EncryptionConfiguration": {}}')],
        [
            resource(
                "SecurityConfiguration",
                configuration='{"EncryptionConfiguration": {"EnableAtRestEncryption": true}}',
            )
        ],
    ),
    "cluster-encrypted-in-transit": (
        [resource("SecurityConfiguration", configuration='{"EncryptionConfiguration": {}}')],
        [
            resource(
                "SecurityConfiguration",
                configuration='{"EncryptionConfiguration": {"EnableInTransitEncryption": true}}',
            )
        ],
    ),
    "key-rotates": ([resource("Key")], [resource("Key", enableKeyRotation=True)]),
    "tls-only": (
        [
            QUEUE,
            resource("QueuePolicy", TO_QUEUE, policy=policy(allow("sqs:SendMessage", principal=SERVICE))),
        ],
        [QUEUE, resource("QueuePolicy", TO_QUEUE, policy=policy({**TLS, "Condition": PLAIN_TEXT}))],
    ),
    "bucket-not-public": (
        [BUCKET, resource("BucketPublicAccessBlock", TO_BUCKET, **{**BLOCKED, "blockPublicAcls": False})],
        [BUCKET, resource("BucketPublicAccessBlock", TO_BUCKET, **BLOCKED)],
    ),
    "policy-not-public": (
        [resource("BucketPolicy", policy=policy(allow("s3:GetObject", principal="*")))],
        [
            resource(
                "BucketPolicy",
                policy=policy(
                    allow(
                        "s3:GetObject", principal="*", StringEquals={"aws:PrincipalAccount": "123456789012"}
                    )
                ),
            )
        ],
    ),
    "network-not-public": (
        [resource("SecurityGroupIngressRule", cidrIpv4="0.0.0.0/0")],
        [resource("SecurityGroupIngressRule", cidrIpv4="10.0.0.0/16")],
    ),
    "api-authorized": (
        [resource("Route", routeKey="GET /")],
        [resource("Route", routeKey="GET /", authorizationType="AWS_IAM")],
    ),
    "invocation-from-one-source": (
        [resource("Permission", principal="events.amazonaws.com")],
        [resource("Permission", principal="events.amazonaws.com", sourceArn="arn:rule")],
    ),
    "no-starred-actions": (
        [resource("RolePolicy", policy=policy(allow("s3:*", "arn:aws:s3:::a/*")))],
        [resource("RolePolicy", policy=policy(allow("s3:GetObject", "arn:aws:s3:::a/*")))],
    ),
    "no-any-resource": (
        [resource("RolePolicy", policy=policy(allow("s3:GetObject")))],
        [resource("RolePolicy", policy=policy(allow("cloudwatch:PutMetricData")))],
    ),
    "pass-role-to-one-service": (
        [resource("RolePolicy", policy=policy(allow("iam:PassRole", "arn:role")))],
        [
            resource(
                "RolePolicy",
                policy=policy(
                    allow(
                        "iam:PassRole",
                        "arn:role",
                        StringEquals={"iam:PassedToService": "lambda.amazonaws.com"},
                    )
                ),
            )
        ],
    ),
    "trust-names-account": (
        [resource("Role", assumeRolePolicy=policy(allow("sts:AssumeRole", principal=SERVICE)))],
        [
            resource(
                "Role",
                assumeRolePolicy=policy(
                    allow(
                        "sts:AssumeRole",
                        principal=SERVICE,
                        StringEquals={"aws:SourceAccount": "123456789012"},
                    )
                ),
            )
        ],
    ),
    "logs-expire": ([resource("LogGroup")], [resource("LogGroup", retentionInDays=14)]),
    "bucket-versioned": (
        [BUCKET, resource("BucketVersioning", TO_BUCKET, versioningConfiguration={"status": "Suspended"})],
        [BUCKET, resource("BucketVersioning", TO_BUCKET, versioningConfiguration={"status": "Enabled"})],
    ),
    "bucket-has-lifecycle": (
        [
            BUCKET,
            resource("BucketLifecycleConfiguration", TO_BUCKET, rules=[{**LIFECYCLE, "status": "Disabled"}]),
        ],
        [BUCKET, resource("BucketLifecycleConfiguration", TO_BUCKET, rules=[LIFECYCLE])],
    ),
    "dead-letters-kept": (
        [resource("Queue", messageRetentionSeconds=345_600)],
        [resource("Queue", messageRetentionSeconds=DEAD_LETTER_RETENTION_S)],
    ),
    "data-protected": ([BUCKET], [resource("Bucket", protect=True)]),
    "bucket-not-emptied": ([resource("Bucket", forceDestroy=True)], [resource("Bucket", forceDestroy=False)]),
    "generated-names": ([resource("Queue", name="orders")], [QUEUE]),
    "default-tags": ([resource("Queue", tags={"Owner": "me"})], [resource("Queue", tags={"Name": "orders"})]),
    "endpoint-size": (
        [resource("EndpointConfiguration", productionVariants=[{"instanceType": "ml.m5.24xlarge"}])],
        [resource("EndpointConfiguration", productionVariants=[{"instanceType": "ml.m5.xlarge"}])],
    ),
    "function-size": ([resource("Function", memorySize=10_240)], [resource("Function", memorySize=512)]),
    "budget": (
        [resource("Budget", limitAmount="500")],
        [resource("Budget", limitAmount="500", notifications=[{"threshold": 80}])],
    ),
    "endpoint-autoscales": (
        [ENDPOINT, resource("Target", resourceId="endpoint/other/variant/All", maxCapacity=1)],
        [
            ENDPOINT,
            resource("Target", resourceId="endpoint/ncf-dev/variant/All", maxCapacity=1),
            resource("Policy", resourceId="endpoint/ncf-dev/variant/All"),
        ],
    ),
    "queue-has-alarm": ([QUEUE], [QUEUE, resource("MetricAlarm", {"dimensions": "Queue"})]),
    "function-has-alarm": ([FUNCTION], [FUNCTION, resource("MetricAlarm", {"dimensions": "Function"})]),
    "endpoint-has-alarms": (
        [ENDPOINT, resource("MetricAlarm", **ALARM)],
        [
            ENDPOINT,
            resource("MetricAlarm", **ALARM),
            Resource(
                type="aws:m/t:MetricAlarm",
                name="2",
                urn="urn:2",
                inputs={"metricQueries": [{"metric": ALARM}]},
            ),
        ],
    ),
    "alarm-notifies": ([resource("MetricAlarm")], [resource("MetricAlarm", alarmActions=["arn:topic"])]),
    "filled-alarm-waits": (
        [resource("MetricAlarm", evaluationPeriods=1, metricQueries=[{"expression": "FILL(m, 0)"}])],
        [
            resource(
                "MetricAlarm",
                evaluationPeriods=3,
                datapointsToAlarm=1,
                metricQueries=[{"expression": "FILL(m, 0)"}],
            )
        ],
    ),
    "events-not-lost": (
        [resource("EventTarget", retryPolicy={"maximumRetryAttempts": 3})],
        [
            resource(
                "EventTarget", retryPolicy={"maximumRetryAttempts": 3}, deadLetterConfig={"arn": "arn:queue"}
            )
        ],
    ),
}
