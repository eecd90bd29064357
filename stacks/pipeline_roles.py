"""Roles that SageMaker assumes for the training pipeline: the pipeline's own role and the role of its jobs.

A CodeBuild build creates the pipeline (`ml.pipeline`) with these roles; their ARNs are in its environment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pulumi

from components.iam import (
    Allow,
    ServiceRole,
    ServiceRoleArgs,
    grant_container_logs_and_metrics,
    grant_pass_role,
    grant_put_metrics,
)
from components.lambda_function import LambdaFunction
from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS
from stacks.containers import grant_pull_images
from stacks.sagemaker import PIPELINE_RESOURCES, SAGEMAKER
from stacks.storage import Storage


def job_role(storage: Storage, images: Collection[str], opts: pulumi.ResourceOptions) -> ServiceRole:
    """Role of training and evaluation: read the run, write model and report, find the champion."""
    artifacts, key = storage.artifacts, storage.key
    log_groups = [key.resource_arn("logs", f"log-group:{group}") for group in JOB_LOG_GROUPS.values()]
    allows = [
        *storage.grant_read_prepared_runs(),
        artifacts.grant_read(contract.MODELS_PREFIX),
        artifacts.grant_write(contract.MODELS_PREFIX),
        artifacts.grant_abort_uploads(contract.MODELS_PREFIX),
        artifacts.grant_list_all(),
        key.grant_encrypt(),
        # For the key of outputs (SageMaker developer guide, execution role of CreateTrainingJob).
        Allow(actions=["kms:Encrypt"], resources=[key.arn]),
        *key.grant_encrypt_volumes(),
        storage.packages.grant_read(),
        *grant_container_logs_and_metrics(log_groups, creates_groups=True),
        grant_put_metrics(contract.METRICS_NAMESPACE),  # of the model that serves
        *grant_pull_images(key.partition, *images),
    ]
    return ServiceRole("job-role", _args(storage, allows), opts)


@dataclass(frozen=True, kw_only=True)
class PipelineRoleArgs:
    """Arguments of `pipeline_role`.

    Attributes:
        storage: the buckets, the key and the model package group.
        job_role, model_role_arn: roles that the pipeline passes to SageMaker.
        functions: Lambda functions that its steps invoke.
    """

    storage: Storage
    job_role: ServiceRole
    model_role_arn: pulumi.Input[str]
    functions: Sequence[LambdaFunction]


def pipeline_role(args: PipelineRoleArgs, opts: pulumi.ResourceOptions) -> ServiceRole:
    """Role of the pipeline: run jobs, read reports, register and create models, invoke functions."""
    storage, key = args.storage, args.storage.key
    allows = [
        *(_grant_run_jobs(storage, kind) for kind in ("TrainingJob", "ProcessingJob")),
        Allow(
            actions=["sagemaker:AddTags", "sagemaker:CreateModel", "sagemaker:DescribeModel"],
            resources=[key.resource_arn("sagemaker", f"model/{PIPELINE_RESOURCES}")],
        ),
        *storage.packages.grant_register(),
        *(function.grant_invoke() for function in args.functions),
        storage.artifacts.grant_read(contract.MODELS_PREFIX),
        key.grant_decrypt(),
        grant_pass_role(args.job_role.arn, SAGEMAKER),
        grant_pass_role(args.model_role_arn, SAGEMAKER),
    ]
    return ServiceRole("pipeline-role", _args(storage, allows), opts)


def _grant_run_jobs(storage: Storage, kind: str) -> Allow:
    """Permission to run the pipeline's jobs of one kind, ``TrainingJob`` or ``ProcessingJob``."""
    arn_kind = {"TrainingJob": "training-job", "ProcessingJob": "processing-job"}[kind]
    return Allow(
        actions=[
            "sagemaker:AddTags",
            *(f"sagemaker:{verb}{kind}" for verb in ("Create", "Describe", "Stop")),
        ],
        resources=[storage.key.resource_arn("sagemaker", f"{arn_kind}/{PIPELINE_RESOURCES}")],
    )


def _args(storage: Storage, allows: list[Allow]) -> ServiceRoleArgs:
    return ServiceRoleArgs(service=SAGEMAKER, source_account=storage.key.account_id, allows=allows)
