"""Uses of grants that AWS makes and the emulator does not, each with its reason.

`emulator.authorization` records what the emulator sees. A grant that it never sees needed has a row here, or
is removed from the stacks; a row without a grant is an error (tests/local/test_permissions.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emulator.authorization.ledger import Use
from local.permissions.documented_preparation import PREPARATION
from local.permissions.documented_use import HERE, KEY, STAGE, Documented

_MODEL = "arn:aws:s3:::<artifacts>/models/<run>/model.tar.gz"
_FUNCTIONS = ("check-runs", "deploy-model", "recommend", "render-buildspec", "report-rejection")
_SAGEMAKER = f"arn:aws:sagemaker:{HERE}"
_CASE_OF_NAMES = "SageMaker returns ARNs of packages in lower case or as named; the emulator in lower case."


DOCUMENTED: Sequence[Documented] = (
    *(
        Documented(
            roles=[f"{function}-role"],
            actions=["sqs:SendMessage"],
            resources=[f"arn:aws:sqs:{HERE}:<{function}-failed>"],
            reason="Lambda sends events that failed to the dead-letter queue with the function's role; no "
            "recorded run has one (tests/emulator/services/lambda_).",
        )
        for function in _FUNCTIONS
    ),
    *(
        Documented(
            roles=[f"{schedule}-role"],
            actions=["sqs:SendMessage"],
            resources=[f"arn:aws:sqs:{HERE}:<{schedule}-undelivered>"],
            reason="Scheduler sends calls that failed to the dead-letter queue with the role of the target "
            "(tests/emulator/services/scheduler).",
        )
        for schedule in ("preparation-schedule", "check-runs-schedule")
    ),
    Documented(
        roles=["build-role"],
        actions=["s3:GetBucketAcl", "s3:GetBucketLocation"],
        resources=["arn:aws:s3:::<artifacts>"],
        reason="CodeBuild identifies the bucket of its source (CodeBuild user guide, Create a CodeBuild "
        "service role, S3BucketIdentity).",
    ),
    Documented(
        roles=["build-role", "render-buildspec-role"],
        actions=["s3:ListBucket"],
        resources=["arn:aws:s3:::<artifacts>", "arn:aws:s3:::<data>"],
        reason="A missing manifest, bundle or buildspec is 404 with this permission and 403 without; the "
        "code reports it by name (ml/pipeline/prepared.py, ml/pipeline/source.py, lambdas/render_buildspec).",
    ),
    Documented(
        roles=["deploy-model-role", "recommend-role"],
        actions=["s3:ListBucket"],
        resources=["arn:aws:s3:::<artifacts>"],
        reason="A missing popular list is 404 with this permission and 403 without: packages of earlier "
        "versions have none, and none is published before the first model (ADR 28).",
    ),
    Documented(
        roles=["build-role"],
        actions=["logs:DescribeLogStreams", "logs:GetLogEvents"],
        resources=[
            f"arn:aws:logs:{HERE}:log-group:/aws/sagemaker/{kind}Jobs:log-stream:<stream>"
            for kind in ("Training", "Processing")
        ],
        reason="The build prints the last log lines of a failed job (ml/pipeline/report.py).",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["iam:PassRole"],
        resources=["arn:aws:iam::<account>:role/<endpoint-model>"],
        context={"iam:PassedToService": "sagemaker.amazonaws.com"},
        reason="A new model for a package gets the endpoint's role (lambdas/deploy_model/service.py).",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sagemaker:DeleteEndpointConfig"],
        resources=[f"{_SAGEMAKER}:endpoint-config/ncf-{STAGE}-v1-old"],
        reason="Configurations beyond the last `keep_last` are deleted; no recorded run deploys so many "
        "models (lambdas/deploy_model, tests/lambdas/deploy_model/test_deletion.py).",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sagemaker:DeleteModel"],
        resources=[f"{_SAGEMAKER}:model/{name}" for name in (f"ncf-{STAGE}-v1-old", "pipelines-old")],
        context={"aws:ResourceTag/Stage": STAGE},
        reason="Models of deleted configurations are deleted, those of the pipeline too "
        "(tests/lambdas/deploy_model/test_deletion.py).",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sagemaker:CreateModel", "sagemaker:DescribeModel"],
        resources=[f"{_SAGEMAKER}:model/ncf-{STAGE}-v1-new"],
        reason="A package whose model of the pipeline was deleted gets a new one "
        "(lambdas/deploy_model/service.py, tests/lambdas/deploy_model).",
    ),
    Documented(
        roles=["deploy-model-role", "job-role", "pipeline-role"],
        actions=["sagemaker:DescribeModelPackage"],
        resources=[f"{_SAGEMAKER}:model-package/NCF-{STAGE}/1"],
        reason=_CASE_OF_NAMES,
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sagemaker:UpdateModelPackage"],
        resources=[f"{_SAGEMAKER}:model-package/NCF-{STAGE}/1"],
        reason=_CASE_OF_NAMES,
    ),
    Documented(
        roles=["deploy-model-role", "job-role"],
        actions=["sagemaker:ListModelPackages"],
        resources=[f"{_SAGEMAKER}:model-package/ncf-{STAGE}/1"],
        reason="The group's name can be one from an ARN, which SageMaker may return in lower case.",
    ),
    Documented(
        roles=["pipeline-role"],
        actions=["sagemaker:DescribeModelPackageGroup"],
        resources=[f"{_SAGEMAKER}:model-package-group/NCF-{STAGE}"],
        reason="The step RegisterModel looks the group up before it creates a version, and creates a "
        "missing one (SageMaker developer guide, Pipelines steps).",
    ),
    *(
        Documented(
            roles=["pipeline-role"],
            actions=[f"sagemaker:Stop{kind}Job"],
            resources=[f"arn:aws:sagemaker:{HERE}:{kind.lower()}-job/pipelines-<execution>"],
            reason="StopPipelineExecution stops the running jobs "
            "(tests/emulator/services/sagemaker/pipelines).",
        )
        for kind in ("Training", "Processing")
    ),
    Documented(
        roles=["deploy-model-role", "job-role"],
        actions=["kms:DescribeKey"],
        resources=[KEY],
        reason="The key of encrypted volumes is described before the grant is created (EBS user guide, "
        "Permissions to use a KMS key).",
    ),
    Documented(
        roles=["batch-role"],
        actions=["kms:DescribeKey"],
        resources=[KEY],
        reason="As above.",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["cloudwatch:SetAlarmState"],
        resources=[
            f"arn:aws:cloudwatch:{HERE}:alarm:<endpoint-rollout-{label}>"
            for label in ("answers", "errors", "latency")
        ],
        reason="Alarms of a rollout are set before and during it (lambdas/deploy_model/alarms.py; "
        "tests/rollouts); the recorded rollouts need none.",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sns:Publish"],
        resources=[f"arn:aws:sns:{HERE}:<alarms>"],
        reason="A rollout that was rolled back is notified (lambdas/deploy_model/notification.py; "
        "tests/rollouts); the recorded rollouts end well.",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        resources=["arn:aws:s3:::<artifacts>/rollbacks/v1-<id>"],
        reason="A rollback is notified once, although events are delivered more than once: an object per "
        "rollback, deleted when the notification fails (lambdas/deploy_model/notification.py; "
        "tests/rollouts); the recorded rollouts end well.",
    ),
    Documented(
        roles=["endpoint-model"],
        actions=["cloudwatch:DescribeAlarms"],
        resources=[f"arn:aws:cloudwatch:{HERE}:alarm:*"],
        reason="SageMaker reads the alarms of a rollout with the caller's or the model's role: the "
        "developer guide, Deployment guardrails, does not say which (ADR 20).",
    ),
    Documented(
        roles=["job-role"],
        actions=["kms:Encrypt"],
        resources=[KEY],
        reason="OutputDataConfig has a KmsKeyId (SageMaker developer guide, CreateTrainingJob API: Execution "
        "role permissions).",
    ),
    Documented(
        roles=["job-role"],
        actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        resources=[_MODEL],
        reason="SageMaker uploads models in parts; without the permissions, parts of a failed upload stay.",
    ),
    Documented(
        roles=["endpoint-model"],
        actions=["s3:ListBucket"],
        resources=["arn:aws:s3:::<artifacts>"],
        reason="SageMaker developer guide, CreateModel API: Execution role permissions.",
    ),
    *PREPARATION,
)

# AWS managed policies by role, with the reason.
MANAGED_POLICIES: Mapping[tuple[str, str], str] = {
    ("preparation-service", "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"): (
        "EMR launches instances, volumes and network interfaces with its service role (EMR management guide, "
        "Service role for Amazon EMR)."
    ),
}

# Refusals that the code expects, by action.
EXPECTED_REFUSALS: Mapping[str, str] = {
    "iam:SimulatePrincipalPolicy": (
        "The SageMaker SDK asks whether the job role may write to the staging bucket, and goes on without an "
        "answer (sagemaker.train.ModelTrainer)."
    ),
}


def documented_uses(stage: str) -> list[Use]:
    """Documented uses of a stage, those of roles that it does not have included."""
    return [use for row in DOCUMENTED for use in row.uses(stage)]
