"""Notification of a rollout that was rolled back.

SageMaker documents no event of a rolled back UpdateEndpoint: the status RollingBack belongs to
UpdateEndpointWeightsAndCapacities, and afterwards the endpoint is InService. Alarms tell of a rollback that
they started; a fleet that never becomes healthy starts none.

Events are delivered at least once and several at a time. An invocation notifies a rollback only after it has
created an object for it (S3 conditional write), which belongs to one request of a rollout: a package that is
approved again and rolled back again is notified again.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from logic import ENDPOINT_SEEN, RUN_ID, EndpointState, Package

MAX_SUBJECT = 100  # SNS API, Publish
NO_REASON = "SageMaker states none; see the log of the endpoint."
DIGEST_LENGTH = 16
# Longer than an invocation runs (timeout of the function): one that created the object and was killed before
# it published does not prevent the notification.
CLAIM_S = 120
MAX_ATTEMPTS = 3  # of a conditional write: S3 answers 409 while another is in progress
LOST, CONFLICT = "PreconditionFailed", "ConditionalRequestConflict"
MISSING = ("NoSuchKey", "404")  # of PutObject, and of HeadObject


class Rollbacks:
    """Publishes each rollback to an SNS topic once.

    Args:
        sns, s3: clients.
        topic_arn: receives the notifications.
        stage: in their subject.
        bucket, prefix: of the objects that say which rollbacks were notified.
    """

    def __init__(self, sns: Any, s3: Any, *, topic_arn: str, stage: str, bucket: str, prefix: str) -> None:
        self._sns = sns
        self._s3 = s3
        self._topic_arn = topic_arn
        self._stage = stage
        self._bucket = bucket
        self._prefix = prefix

    def notify(self, package: Package, endpoint: EndpointState) -> bool:
        """Publish that the rollout of a package was rolled back; False if another invocation does."""
        key = self._key(package)
        if not self._claim(key):
            return False
        try:
            self._publish(package, endpoint)
        except Exception:
            self._s3.delete_object(Bucket=self._bucket, Key=key)  # the retry of the event publishes
            raise
        return True

    def _key(self, package: Package) -> str:
        """Key of a request to roll a package out: the endpoint changes with every rollout."""
        seen = package.metadata.get(ENDPOINT_SEEN, "")
        return f"{self._prefix}v{package.version}-{hashlib.sha256(seen.encode()).hexdigest()[:DIGEST_LENGTH]}"

    def _claim(self, key: str) -> bool:
        """Whether this invocation has created the object, or replaced that of one that was killed."""
        if self._put(key, IfNoneMatch="*"):
            return True
        try:
            existing = self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING:
                raise
            return self._put(key, IfNoneMatch="*")  # the other invocation could not publish
        if datetime.now(UTC) - existing["LastModified"] < timedelta(seconds=CLAIM_S):
            return False
        return self._put(key, IfMatch=existing["ETag"])

    def _put(self, key: str, **condition: str) -> bool:
        """Put the object on a condition; returns whether the condition was met."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                # The time makes the content, and so the ETag, of each write its own.
                body = datetime.now(UTC).isoformat().encode()
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, **condition)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == LOST or code in MISSING:  # missing: IfMatch of an object that is gone
                    return False
                if code != CONFLICT or attempt == MAX_ATTEMPTS:
                    raise
            else:
                return True
        raise AssertionError("unreachable")

    def _publish(self, package: Package, endpoint: EndpointState) -> None:
        run_id = package.metadata.get(RUN_ID, "unknown")
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=f"NCF {self._stage}: rollout of run {run_id} rolled back"[:MAX_SUBJECT],
            Message=f"The endpoint {endpoint.name} serves {endpoint.config} as before; {package.arn} is not "
            "deployed again until it is approved again.\n\n"
            f"Reason: {endpoint.failure_reason or NO_REASON}",
        )
