"""Payloads and environment of `deploy_model`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ml import contract
from tests.lambdas.deploy_model.fake_sagemaker import FakeSageMaker
from tests.lambdas.functions import event

ENDPOINT = "ncf-prod"
ENVIRONMENT = {
    "STAGE_NAME": "prod",
    "TOPIC_ARN": "arn:aws:sns:ap-northeast-2:123456789012:alarms",
    "ENDPOINT_NAME": ENDPOINT,
    "MODEL_PACKAGE_GROUP": "NCF-prod",
    "MODEL_ROLE_ARN": "arn:aws:iam::123456789012:role/endpoint-model",
    "VARIANT_NAME": contract.VARIANT_NAME,
    "INSTANCE_TYPE": "ml.m5.large",
    "INITIAL_INSTANCE_COUNT": "2",
    "KMS_KEY_ARN": "arn:aws:kms:ap-northeast-2:123456789012:key/5c1f0c1d",
    "ROLLOUT": "canary",
    "STEP_PERCENT": "10",
    "WAIT_S": "300",
    "ALARM_NAMES": json.dumps(["rollout-errors", "rollout-answers"]),
    "KEEP_LAST": "2",
    "FALLBACK_BUCKET": "artifacts",
    "FALLBACK_KEY": contract.FALLBACK_KEY,
    "ROLLBACKS_PREFIX": contract.ROLLBACKS_PREFIX,
    "BATCH_JOB": "null",
}
# Request of the batch recommendations, as in the environment of a stage that has them.
BATCH_TEMPLATE: dict[str, Any] = {
    "RoleArn": "arn:aws:iam::123456789012:role/batch-role",
    "AppSpecification": {"ImageUri": "image", "ContainerArguments": ["--top-n", "50"]},
    "ProcessingResources": {
        "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30}
    },
}
Invoke = Callable[[dict[str, Any]], dict[str, str]]


def promotion(arn: str, model_name: str | None = None) -> dict[str, Any]:
    return {"model_package_arn": arn} | ({"model_name": model_name} if model_name else {})


def changed_approval(arn: str, approval: str = "Approved") -> dict[str, Any]:
    found = event("model_package_approved")
    found["detail"] |= {"ModelPackageArn": arn, "ModelApprovalStatus": approval}
    return found


def endpoint_changed() -> dict[str, Any]:
    return event("endpoint_in_service")


def batch_failed(job_name: str) -> dict[str, Any]:
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Processing Job State Change",
        "detail": {"ProcessingJobName": job_name, "ProcessingJobStatus": "Failed"},
    }


def deploy(fake: FakeSageMaker, invoke: Invoke) -> str:
    """Register an approved package and complete its rollout; returns its ARN."""
    arn = fake.register()
    assert invoke(promotion(arn))["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    return arn
