"""Creators of resource types, one module per service."""

from __future__ import annotations

from local.deploy.context import Creator
from local.deploy.creators import (
    apigatewayv2,
    appautoscaling,
    cloudwatch,
    codebuild,
    ec2,
    emr,
    iam,
    kms,
    lambda_,
    messaging,
    operations,
    s3,
    sagemaker,
)

CREATORS: dict[str, Creator] = {
    **apigatewayv2.CREATORS,
    **appautoscaling.CREATORS,
    **cloudwatch.CREATORS,
    **codebuild.CREATORS,
    **ec2.CREATORS,
    **emr.CREATORS,
    **iam.CREATORS,
    **kms.CREATORS,
    **lambda_.CREATORS,
    **messaging.CREATORS,
    **operations.CREATORS,
    **s3.CREATORS,
    **sagemaker.CREATORS,
}
"""Type token, e.g. `aws:s3/bucket:Bucket`, to its creator."""
