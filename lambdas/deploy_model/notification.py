"""Notification of a rollout that was rolled back.

SageMaker documents no event of a rolled back UpdateEndpoint: the status RollingBack belongs to
UpdateEndpointWeightsAndCapacities, and afterwards the endpoint is InService. Alarms tell of a rollback that
they started; a fleet that never becomes healthy starts none.
"""

from __future__ import annotations

from typing import Any

from logic import RUN_ID, EndpointState, Package

MAX_SUBJECT = 100  # SNS API, Publish
NO_REASON = "SageMaker states none; see the log of the endpoint."


class Rollbacks:
    """Publishes rollbacks to an SNS topic."""

    def __init__(self, sns: Any, topic_arn: str, stage: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn
        self._stage = stage

    def notify(self, package: Package, endpoint: EndpointState) -> None:
        """Publish that the rollout of a package was rolled back."""
        run_id = package.metadata.get(RUN_ID, "unknown")
        self._sns.publish(
            TopicArn=self._topic_arn,
            Subject=f"NCF {self._stage}: rollout of run {run_id} rolled back"[:MAX_SUBJECT],
            Message=f"The endpoint {endpoint.name} serves {endpoint.config} as before; {package.arn} is not "
            "deployed again until it is approved again.\n\n"
            f"Reason: {endpoint.failure_reason or NO_REASON}",
        )
