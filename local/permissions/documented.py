"""Uses of grants that AWS makes and the emulator does not, each with its reason.

`emulator.authorization` records what the emulator sees. A grant that it never sees needed has a row here, or
is removed from the stacks; a row without a grant is an error (tests/local/test_permissions.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.authorization.ledger import Use


@dataclass(frozen=True, kw_only=True)
class Documented:
    """Actions of a role on resources, with logical names (`local.permissions.grants`).

    Attributes:
        roles: logical names.
        stages: stages that have the grant.
        context: condition keys of the calls.
        reason: what AWS does, and the source.
    """

    roles: Sequence[str]
    actions: Sequence[str]
    resources: Sequence[str]
    reason: str
    stages: Sequence[str] = ("dev", "prod")
    context: Mapping[str, str] = field(default_factory=dict)

    def uses(self) -> Iterator[Use]:
        """One use per role, action and resource."""
        for role in self.roles:
            for action in self.actions:
                for resource in self.resources:
                    yield Use.of(role, action, resource, self.context)


_HERE = "ap-northeast-2:<account>"
_KEY = f"arn:aws:kms:{_HERE}:key/<key>"
_MODEL = "arn:aws:s3:::<artifacts>/models/<run>/model.tar.gz"
_FOR_AWS_RESOURCE = {"kms:GrantIsForAWSResource": "true"}
_FUNCTIONS = ("check-runs", "deploy-model", "recommend", "render-buildspec", "report-rejection")


def _packages(role: str, actions: Sequence[str], group: str, reason: str) -> list[Documented]:
    """Rows of the packages of each stage; `group` formats the stage's name."""
    return [
        Documented(
            roles=[role],
            actions=[f"sagemaker:{action}" for action in actions],
            resources=[f"arn:aws:sagemaker:{_HERE}:model-package/{group.format(stage=stage)}/1"],
            stages=[stage],
            reason=reason,
        )
        for stage in ("dev", "prod")
    ]


def _stage_rows(stage: str) -> list[Documented]:
    sagemaker = f"arn:aws:sagemaker:{_HERE}"
    return [
        Documented(
            roles=["deploy-model-role"],
            actions=["sagemaker:DeleteEndpointConfig"],
            resources=[f"{sagemaker}:endpoint-config/ncf-{stage}-v1-old"],
            stages=[stage],
            reason="Configurations beyond the last `keep_last` are deleted; no recorded run deploys so many "
            "models (lambdas/deploy_model, tests/lambdas/deploy_model/test_deletion.py).",
        ),
        Documented(
            roles=["deploy-model-role"],
            actions=["sagemaker:DeleteModel"],
            resources=[f"{sagemaker}:model/{name}" for name in (f"ncf-{stage}-v1-old", "pipelines-old")],
            context={"aws:ResourceTag/Stage": stage},
            stages=[stage],
            reason="Models of deleted configurations are deleted, those of the pipeline too "
            "(tests/lambdas/deploy_model/test_deletion.py).",
        ),
        Documented(
            roles=["deploy-model-role"],
            actions=["sagemaker:CreateModel", "sagemaker:DescribeModel"],
            resources=[f"{sagemaker}:model/ncf-{stage}-v1-new"],
            stages=[stage],
            reason="A package whose model of the pipeline was deleted gets a new one "
            "(lambdas/deploy_model/service.py, tests/lambdas/deploy_model).",
        ),
    ]


DOCUMENTED: Sequence[Documented] = (
    *(
        Documented(
            roles=[f"{function}-role"],
            actions=["sqs:SendMessage"],
            resources=[f"arn:aws:sqs:{_HERE}:<{function}-failed>"],
            reason="Lambda sends events that failed to the dead-letter queue with the function's role; no "
            "recorded run has one (tests/emulator/services/lambda_).",
        )
        for function in _FUNCTIONS
    ),
    *(
        Documented(
            roles=[f"{schedule}-role"],
            actions=["sqs:SendMessage"],
            resources=[f"arn:aws:sqs:{_HERE}:<{schedule}-undelivered>"],
            stages=stages,
            reason="Scheduler sends calls that failed to the dead-letter queue with the role of the target "
            "(tests/emulator/services/scheduler).",
        )
        for schedule, stages in (("preparation-schedule", ["dev"]), ("check-runs-schedule", ["dev", "prod"]))
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
            f"arn:aws:logs:{_HERE}:log-group:/aws/sagemaker/{kind}Jobs:log-stream:<stream>"
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
    *(row for stage in ("dev", "prod") for row in _stage_rows(stage)),
    *_packages(
        "deploy-model-role",
        ["DescribeModelPackage", "UpdateModelPackage"],
        "NCF-{stage}",
        "SageMaker returns ARNs of packages in lower case or as named; the emulator in lower case.",
    ),
    *_packages(
        "job-role",
        ["DescribeModelPackage"],
        "NCF-{stage}",
        "SageMaker returns ARNs of packages in lower case or as named; the emulator in lower case.",
    ),
    *_packages(
        "pipeline-role",
        ["DescribeModelPackage"],
        "NCF-{stage}",
        "SageMaker returns ARNs of packages in lower case or as named; the emulator in lower case.",
    ),
    *_packages(
        "deploy-model-role",
        ["ListModelPackages"],
        "ncf-{stage}",
        "The group's name can be one from an ARN, which SageMaker may return in lower case.",
    ),
    *_packages(
        "job-role",
        ["ListModelPackages"],
        "ncf-{stage}",
        "The group's name can be one from an ARN, which SageMaker may return in lower case.",
    ),
    *(
        Documented(
            roles=["pipeline-role"],
            actions=["sagemaker:DescribeModelPackageGroup"],
            resources=[f"arn:aws:sagemaker:{_HERE}:model-package-group/NCF-{stage}"],
            stages=[stage],
            reason="The step RegisterModel looks the group up before it creates a version, and creates a "
            "missing one (SageMaker developer guide, Pipelines steps).",
        )
        for stage in ("dev", "prod")
    ),
    Documented(
        roles=["pipeline-role"],
        actions=["sagemaker:StopTrainingJob"],
        resources=[f"arn:aws:sagemaker:{_HERE}:training-job/pipelines-<execution>"],
        reason="StopPipelineExecution stops the running jobs (tests/emulator/services/sagemaker/pipelines).",
    ),
    Documented(
        roles=["pipeline-role"],
        actions=["sagemaker:StopProcessingJob"],
        resources=[f"arn:aws:sagemaker:{_HERE}:processing-job/pipelines-<execution>"],
        reason="StopPipelineExecution stops the running jobs (tests/emulator/services/sagemaker/pipelines).",
    ),
    Documented(
        roles=["deploy-model-role", "job-role"],
        actions=["kms:DescribeKey"],
        resources=[_KEY],
        reason="The key of encrypted volumes is described before the grant is created (EBS user guide, "
        "Permissions to use a KMS key).",
    ),
    Documented(
        roles=["batch-role"],
        actions=["kms:DescribeKey"],
        resources=[_KEY],
        stages=["prod"],
        reason="As above; only the prod stage has batch recommendations.",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["cloudwatch:SetAlarmState"],
        resources=[
            f"arn:aws:cloudwatch:{_HERE}:alarm:<endpoint-rollout-{label}>"
            for label in ("answers", "errors", "latency")
        ],
        reason="Alarms of a rollout are set before and during it (lambdas/deploy_model/alarms.py; "
        "tests/rollouts); the recorded rollouts need none.",
    ),
    Documented(
        roles=["deploy-model-role"],
        actions=["sns:Publish"],
        resources=[f"arn:aws:sns:{_HERE}:<alarms>"],
        reason="A rollout that was rolled back is notified (lambdas/deploy_model/notification.py; "
        "tests/rollouts); the recorded rollouts end well.",
    ),
    Documented(
        roles=["endpoint-model"],
        actions=["cloudwatch:DescribeAlarms"],
        resources=[f"arn:aws:cloudwatch:{_HERE}:alarm:*"],
        reason="SageMaker reads the alarms of a rollout with the caller's or the model's role: the "
        "developer guide, Deployment guardrails, does not say which (ADR 20).",
    ),
    Documented(
        roles=["job-role"],
        actions=["kms:Encrypt"],
        resources=[_KEY],
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
    Documented(
        roles=["preparation-nodes"],
        actions=["kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
        resources=[_KEY],
        reason="The security configuration encrypts local disks and EMRFS with the key (EMR management "
        "guide, Create keys and certificates for data encryption).",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        resources=["arn:aws:s3:::<data>/prepared/p", "arn:aws:s3:::<data>/scratch/s"],
        reason="EMRFS uploads files in parts and aborts those of failed tasks (EMR release guide, EMRFS "
        "S3-optimized committer); the emulator stores whole objects.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:GetObject"],
        resources=["arn:aws:s3:::<data>/prepared/p", "arn:aws:s3:::<data>/scratch/s"],
        reason="A run extends the id maps of the previous one, and EMRFS renames a file by a copy; the "
        "recorded run is the first, and the emulator's files are local.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:DeleteObject"],
        resources=["arn:aws:s3:::<data>/prepared/p"],
        reason="EMRFS renames a file by a copy and a deletion, and an aborted job deletes its files.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:ListBucketMultipartUploads"],
        resources=["arn:aws:s3:::<data>"],
        reason="The committer lists the uploads of its job to abort unfinished ones.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:ListBucket"],
        resources=["arn:aws:s3:::<artifacts>"],
        context={"s3:prefix": "spark/ml.zip"},
        reason="EMRFS lists a path when it looks for a file; the emulator downloads the code by its keys.",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["iam:PassRole"],
        resources=["arn:aws:iam::<account>:role/<preparation-nodes>"],
        context={"iam:PassedToService": "ec2.amazonaws.com"},
        reason="EMR passes the role of the instance profile to EC2; AmazonEMRServicePolicy_v2 allows this "
        "for the default role only (EMR management guide, Service role for Amazon EMR).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=[
            *("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
            *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
        ],
        resources=[_KEY],
        reason="EMR creates encrypted EBS volumes (EMR management guide, Encryption options; EBS user guide, "
        "Permissions to use a KMS key).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["kms:CreateGrant"],
        resources=[_KEY],
        context=_FOR_AWS_RESOURCE,
        reason="EC2 attaches encrypted volumes with a grant (EBS user guide, Permissions to use a KMS key).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["iam:CreateServiceLinkedRole"],
        resources=[
            "arn:aws:iam::<account>:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
        ],
        context={"iam:AWSServiceName": "spot.amazonaws.com"},
        reason="EC2 creates the role with an account's first spot instance (EC2 user guide).",
    ),
    Documented(
        roles=["airflow"],
        actions=["elasticmapreduce:ListClusters"],
        resources=["*"],
        stages=["prod"],
        reason="The DAG looks for a running cluster before it launches one (dags/ncf_preparation/emr.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["elasticmapreduce:DescribeCluster", "elasticmapreduce:TerminateJobFlows"],
        resources=[f"arn:aws:elasticmapreduce:{_HERE}:cluster/<cluster>"],
        context={
            f"elasticmapreduce:ResourceTag/{key}": value
            for key, value in {
                "Owner": "recommendation",
                "Service": "ncf",
                "Stage": "prod",
                "for-use-with-amazon-emr-managed-policies": "true",
            }.items()
        },
        stages=["prod"],
        reason="The DAG follows the cluster and terminates it after a timeout (dags/ncf_preparation/emr.py; "
        "its tests run with this role).",
    ),
    Documented(
        roles=["airflow"],
        actions=["s3:GetObject"],
        resources=["arn:aws:s3:::<logs>/emr/stderr.gz"],
        stages=["prod"],
        reason="The DAG reads the error from the driver's log (dags/ncf_preparation/emr.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["s3:ListBucket"],
        resources=[f"arn:aws:s3:::<{bucket}>" for bucket in ("artifacts", "data", "logs")],
        stages=["prod"],
        reason="A missing document, run or log is 404 with this permission and 403 without "
        "(dags/prepare_interactions.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["sns:Publish"],
        resources=[f"arn:aws:sns:{_HERE}:<alarms>"],
        stages=["prod"],
        reason="The DAG reports failures (dags/ncf_preparation/alerts.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["kms:GenerateDataKey"],
        resources=[_KEY],
        stages=["prod"],
        reason="SNS encrypts the DAG's messages with the publisher's permissions (SNS developer guide, Key "
        "management).",
    ),
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
    """Documented uses of a stage."""
    return [use for row in DOCUMENTED if stage in row.stages for use in row.uses()]
