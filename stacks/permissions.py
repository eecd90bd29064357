"""What each role of the platform may do, and where the names come from that it is granted on.

SageMaker's pipelines name what they make ``pipelines-<execution>-<step>-…``, and `deploy_model` names its
models and configs ``<endpoint>-v<version>-…``: those names are what the grants are bound to.
"""

from __future__ import annotations

import pulumi

from components.endpoint import Endpoint
from components.iam import Allow, pass_role, write_as_container
from components.lambda_function import LambdaFunction
from components.model_package_group import ModelPackageGroup
from ml import contract
from stacks.containers import pull_images
from stacks.storage import Storage

SAGEMAKER = "sagemaker.amazonaws.com"
OF_PIPELINES = "pipelines-*"
JOB_LOG_GROUPS = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs")


def arn(storage: Storage, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
    """The ARN of something of a service, in the account and region of the stage."""
    key = storage.key
    return pulumi.Output.format(
        "arn:{0}:{1}:{2}:{3}:{4}", key.partition, service, key.region, key.account_id, resource
    )


def prepared_runs(storage: Storage) -> list[Allow]:
    """Reading prepared runs, and being told which of their files are missing."""
    return [
        storage.data.read(contract.PREPARED_PREFIX),
        storage.data.tell_missing(),
        storage.key.decrypt(),
    ]


def rendering(storage: Storage) -> list[Allow]:
    """`render_buildspec`: reads a manifest and the bundle's version, writes a buildspec."""
    artifacts = storage.artifacts
    return [
        *prepared_runs(storage),
        artifacts.read(contract.CODE_BUNDLE_KEY),
        artifacts.write(contract.BUILDSPECS_PREFIX),
        artifacts.tell_missing(),
        storage.key.encrypt(),
    ]


def building(storage: Storage, pipeline_name: str, pipeline_role_arn: pulumi.Input[str]) -> list[Allow]:
    """A build of `ml.pipeline`: publishes the run's source, upserts the pipeline, starts and follows it."""
    artifacts = storage.artifacts
    pipeline = arn(storage, "sagemaker", f"pipeline/{pipeline_name}")
    return [
        *prepared_runs(storage),
        artifacts.read(contract.CODE_BUNDLE_KEY),
        artifacts.read(contract.BUILDSPECS_PREFIX),
        artifacts.read(contract.MODELS_PREFIX),
        artifacts.write(contract.MODELS_PREFIX),
        artifacts.tell_missing(),
        artifacts.locate(),
        storage.key.encrypt(),
        Allow(
            actions=[
                "sagemaker:AddTags",
                "sagemaker:CreatePipeline",
                "sagemaker:DescribePipeline",
                "sagemaker:ListPipelineExecutions",
                "sagemaker:StartPipelineExecution",
                "sagemaker:UpdatePipeline",
            ],
            resources=[pipeline],
        ),
        Allow(
            actions=["sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"],
            resources=[pulumi.Output.concat(pipeline, "/execution/*")],
        ),
        Allow(
            actions=["logs:DescribeLogStreams", "logs:GetLogEvents"],
            resources=[arn(storage, "logs", f"log-group:{group}:*") for group in JOB_LOG_GROUPS],
        ),
        pass_role(pipeline_role_arn, SAGEMAKER),
    ]


def orchestrating(
    storage: Storage, endpoint: Endpoint, deploy_model: LambdaFunction, job_role_arn: pulumi.Input[str]
) -> list[Allow]:
    """The pipeline itself: starts jobs, reads their report, registers, makes a model, asks for promotion."""
    group = storage.packages
    jobs = [
        arn(storage, "sagemaker", f"{kind}/{OF_PIPELINES}") for kind in ("training-job", "processing-job")
    ]
    models = arn(storage, "sagemaker", f"model/{OF_PIPELINES}")
    return [
        Allow(
            actions=[
                "sagemaker:AddTags",
                "sagemaker:CreateProcessingJob",
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopProcessingJob",
                "sagemaker:StopTrainingJob",
            ],
            resources=jobs,
        ),
        Allow(
            actions=["sagemaker:AddTags", "sagemaker:CreateModel", "sagemaker:DescribeModel"],
            resources=[models],
        ),
        Allow(
            actions=[
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackage",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
            ],
            resources=_packages(group),
        ),
        deploy_model.invoke(),
        storage.artifacts.read(contract.MODELS_PREFIX),
        storage.artifacts.tell_missing(),
        storage.key.encrypt(),
        storage.key.grant_to_services(),
        pass_role(job_role_arn, SAGEMAKER),
        pass_role(endpoint.model_role_arn, SAGEMAKER),
    ]


def training_and_evaluating(storage: Storage, region: str) -> list[Allow]:
    """The containers of the jobs: read the run, write the model and the report, find the champion."""
    artifacts = storage.artifacts
    return [
        *prepared_runs(storage),
        artifacts.read(contract.MODELS_PREFIX),
        artifacts.write(contract.MODELS_PREFIX),
        artifacts.tell_missing(),
        storage.key.encrypt(),
        storage.key.grant_to_services(),
        Allow(
            actions=["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            resources=_packages(storage.packages),
        ),
        *write_as_container([arn(storage, "logs", f"log-group:{group}") for group in JOB_LOG_GROUPS]),
        *pull_images(storage.key.partition, region),
    ]


def serving_models(storage: Storage, region: str) -> list[Allow]:
    """The serving container: its artifact and its image."""
    return [
        storage.artifacts.read(contract.MODELS_PREFIX),
        storage.artifacts.tell_missing(),
        storage.key.decrypt(),
        *pull_images(storage.key.partition, region),
    ]


def promoting(storage: Storage, endpoint: Endpoint) -> list[Allow]:
    """`deploy_model`: compares the endpoint with the registry, rolls out, and clears away what is old."""
    own = pulumi.Output.concat(endpoint.name, "-v*")
    configs = arn(storage, "sagemaker", pulumi.Output.concat("endpoint-config/", own))
    models = [arn(storage, "sagemaker", pulumi.Output.concat("model/", name)) for name in (own, OF_PIPELINES)]
    return [
        Allow(actions=["sagemaker:DescribeEndpoint"], resources=[endpoint.arn]),
        Allow(actions=["sagemaker:UpdateEndpoint"], resources=[endpoint.arn, configs]),
        Allow(
            actions=["sagemaker:CreateEndpointConfig", "sagemaker:DeleteEndpointConfig"], resources=[configs]
        ),
        Allow(
            actions=["sagemaker:DescribeEndpointConfig"], resources=[configs, endpoint.bootstrap_config_arn]
        ),
        Allow(
            actions=["sagemaker:ListEndpointConfigs"],
            resources=["*"],
            reason="listing has no resource-level permissions",
        ),
        Allow(
            actions=["sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:DescribeModel"],
            resources=models,
        ),
        Allow(
            actions=[
                "sagemaker:DescribeModelPackage",
                "sagemaker:ListModelPackages",
                "sagemaker:UpdateModelPackage",
            ],
            resources=_packages(storage.packages),
        ),
        # SageMaker looks at the rollout's alarms, and opens the instances' volumes, on the caller's behalf.
        Allow(actions=["cloudwatch:DescribeAlarms"], resources=[arn(storage, "cloudwatch", "alarm:*")]),
        storage.key.decrypt(),
        storage.key.grant_to_services(),
        pass_role(endpoint.model_role_arn, SAGEMAKER),
    ]


def _packages(group: ModelPackageGroup) -> list[pulumi.Output[str]]:
    """The group and its packages; SageMaker has written their names in lower case at times."""
    arns = (group.arn, group.packages_arn)
    return [*arns, *(each.apply(str.lower) for each in arns)]
