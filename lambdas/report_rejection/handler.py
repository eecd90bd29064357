"""Sends the notification that a candidate failed the quality gate.

Invoked by the pipeline step NCFRejected with ``{"run_id", "report_uri"}``, once per execution. A lost gate is
a normal outcome: the execution succeeds, and this is its only notification.

Environment:
    STAGE_NAME: stage in the subject of the notification.
    TOPIC_ARN: SNS topic that receives it.
"""

from __future__ import annotations

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from logic import decision_of, notification, rejection_of

STAGE_NAME = os.environ["STAGE_NAME"]
TOPIC_ARN = os.environ["TOPIC_ARN"]

logger = Logger(service="report_rejection")
config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
s3 = boto3.client("s3", config=config)
sns = boto3.client("sns", config=config)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Publish the notification.

    Returns:
        ``summary``: a line per metric of the gate.

    Raises:
        EventError: the event or the evaluation report is invalid.
    """
    rejection = rejection_of(event)
    report = s3.get_object(Bucket=rejection.report_bucket, Key=rejection.report_key)["Body"].read()
    decision = decision_of(rejection, report)
    sns.publish(TopicArn=TOPIC_ARN, **notification(STAGE_NAME, rejection, decision))
    logger.info("candidate rejected", extra={"run_id": rejection.run_id, "reason": decision.reason})
    return {"summary": decision.lines}
