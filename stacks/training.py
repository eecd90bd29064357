"""Training slice: each prepared run gets a buildspec, whose build runs the SageMaker pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.code_build import CodeBuild, CodeBuildArgs
from components.dead_letter_queue import DeadLetterQueue
from components.event_route import (
    EventRoute,
    EventRouteArgs,
    FunctionTarget,
    InputTransformer,
    RoleTarget,
)
from components.iam import Allow, ServiceRole, grant_pass_role
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS
from ml.settings.training import PipelineSettings
from stacks.functions import FunctionDefaults
from stacks.pipeline_roles import PipelineRoleArgs, job_role, pipeline_role
from stacks.sagemaker import SAGEMAKER
from stacks.sections import BuildConfig
from stacks.serving import Serving
from stacks.storage import Storage

# Parameters of StartBuild (CodeBuild API). The sequencer is unique per write of the object: repeated
# deliveries of an event are idempotent, and a buildspec that is rendered again starts another build.
START_BUILD = '{"buildspecOverride": "<bucket_arn>/<key>", "idempotencyToken": "<key>#<sequencer>"}'
# Buildspec of builds that are started without buildspecOverride.
NO_RUN = """\
version: 0.2
phases:
  build:
    commands:
      - echo "Start this project with the buildspec of a run (buildspecs/<run_id>.yml)." >&2
      - exit 2
"""


@dataclass(frozen=True, kw_only=True)
class TrainingArgs:
    """Arguments of `Training`.

    Attributes:
        stage_name: part of the pipeline's name.
        region: region of the container images.
        settings: settings of the SageMaker pipeline.
        build: section `training.build` of the stage configuration.
        functions: arguments that all functions share.
        log_retention_days: retention of the build's log group.
        storage: the buckets, the key and the model package group.
        serving: the endpoint and the function that deploys to it.
        alarm_topic_arn: topic that the alarms notify.
    """

    stage_name: str
    region: str
    settings: PipelineSettings
    build: BuildConfig
    functions: FunctionDefaults
    log_retention_days: int
    storage: Storage
    serving: Serving
    alarm_topic_arn: pulumi.Input[str]


class Training(pulumi.ComponentResource):
    """Event chain from a prepared run to the SageMaker pipeline, and the roles of the pipeline.

    Creates: LambdaFunction (2), CodeBuild, EventRoute (2), ServiceRole (2).
    """

    pipeline_name: str
    pipeline_arn: pulumi.Output[str]
    render_buildspec: LambdaFunction
    report_rejection: LambdaFunction
    build: CodeBuild
    functions: dict[str, LambdaFunction]
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Training", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.pipeline_name = f"ncf-{args.stage_name}"
        self.pipeline_arn = args.storage.key.resource_arn("sagemaker", f"pipeline/{self.pipeline_name}")
        role_of_jobs = job_role(args.storage, job_images(args), child)
        self.report_rejection = LambdaFunction("report-rejection", _report_rejection(args), child)
        role_of_pipeline = pipeline_role(
            PipelineRoleArgs(
                storage=args.storage,
                job_role=role_of_jobs,
                model_role_arn=args.serving.endpoint.model_role_arn,
                functions=[args.serving.deploy_model, self.report_rejection],
            ),
            child,
        )
        self.render_buildspec = LambdaFunction("render-buildspec", self._render_buildspec(args), child)
        self.build = CodeBuild("build", self._build(args, role_of_pipeline, role_of_jobs), child)
        routes = self._routes(args, child)
        self.functions = {
            "render buildspec": self.render_buildspec,
            "report rejection": self.report_rejection,
        }
        # `report_rejection` is invoked synchronously, so that its queue stays empty.
        self.dead_letter_queues = {
            "render buildspec": self.render_buildspec.dead_letter_queue,
            **{label: route.dead_letter_queue for label, route in routes.items()},
        }
        self.register_outputs({})

    def _build(self, args: TrainingArgs, pipeline_role: ServiceRole, job_role: ServiceRole) -> CodeBuildArgs:
        storage, serving = args.storage, args.serving
        return CodeBuildArgs(
            description="Upserts the SageMaker pipeline, starts it for one run and follows it",
            source_bucket=storage.artifacts.name,
            source_key=contract.CODE_BUNDLE_KEY,
            buildspec=NO_RUN,
            # The variables of the stage; the buildspec adds those of the run.
            environment={
                contract.ENV_STAGE: args.stage_name,
                contract.ENV_DATA_BUCKET: storage.data.name,
                contract.ENV_ARTIFACTS_BUCKET: storage.artifacts.name,
                contract.ENV_KMS_KEY_ARN: storage.key.arn,
                contract.ENV_PIPELINE_NAME: self.pipeline_name,
                contract.ENV_PIPELINE_ROLE_ARN: pipeline_role.arn,
                contract.ENV_JOB_ROLE_ARN: job_role.arn,
                contract.ENV_MODEL_ROLE_ARN: serving.endpoint.model_role_arn,
                contract.ENV_MODEL_PACKAGE_GROUP: storage.packages.name,
                contract.ENV_ENDPOINT_NAME: serving.endpoint.name,
                contract.ENV_DEPLOY_FUNCTION_ARN: serving.deploy_model.arn,
                contract.ENV_REJECTION_FUNCTION_ARN: self.report_rejection.arn,
                contract.ENV_TRAINING: args.settings.to_json(),
            },
            allows=build_role(storage, self.pipeline_arn, pipeline_role),
            kms_key_arn=storage.key.arn,
            image=args.build.image,
            compute_type=args.build.compute_type,
            timeout_minutes=args.build.timeout_minutes,
            log_retention_days=args.log_retention_days,
            account_id=storage.key.account_id,
        )

    def _render_buildspec(self, args: TrainingArgs) -> LambdaFunctionArgs:
        return args.functions.args(
            "render_buildspec",
            environment={
                "ARTIFACTS_BUCKET": args.storage.artifacts.name,
                "CODE_BUNDLE_KEY": contract.CODE_BUNDLE_KEY,
                "BUILDSPECS_PREFIX": contract.BUILDSPECS_PREFIX,
                "PREPARED_PREFIX": contract.PREPARED_PREFIX,
                "PIPELINE_NAME": self.pipeline_name,
            },
            allows=render_buildspec_role(args.storage, self.pipeline_arn),
            timeout_s=30,
            memory_mib=256,
        )

    def _routes(self, args: TrainingArgs, child: pulumi.ResourceOptions) -> dict[str, EventRoute]:
        """Events that render the buildspec of a prepared run and start its build."""
        storage = args.storage
        prepared = EventRoute(
            "run-prepared",
            EventRouteArgs(
                description="A prepared run is complete",
                source="aws.s3",
                detail_type="Object Created",
                detail={
                    "bucket": {"name": [storage.data.name]},
                    "object": {"key": [{"wildcard": contract.run_prefix("*") + contract.SUCCESS_FILE}]},
                },
                target=FunctionTarget(name=self.render_buildspec.name, arn=self.render_buildspec.arn),
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        rendered = EventRoute(
            "buildspec-rendered",
            EventRouteArgs(
                description="The buildspec of a run was written",
                source="aws.s3",
                detail_type="Object Created",
                detail={
                    "bucket": {"name": [storage.artifacts.name]},
                    "object": {"key": [{"wildcard": contract.buildspec_key("*")}]},
                },
                target=RoleTarget(
                    arn=self.build.arn,
                    allow=self.build.grant_start_build(),
                    account_id=storage.key.account_id,
                ),
                transformer=InputTransformer(
                    paths={
                        "bucket_arn": "$.resources[0]",
                        "key": "$.detail.object.key",
                        "sequencer": "$.detail.object.sequencer",
                    },
                    template=START_BUILD,
                ),
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        return {"run prepared": prepared, "buildspec rendered": rendered}


def job_images(args: TrainingArgs) -> set[str]:
    """Images of the training job and the evaluation job."""
    settings = args.settings
    types = (settings.instance_type, settings.evaluation_instance_type)
    return {settings.image(args.region, instance_type) for instance_type in types}


def _report_rejection(args: TrainingArgs) -> LambdaFunctionArgs:
    return args.functions.args(
        "report_rejection",
        environment={"STAGE_NAME": args.stage_name, "TOPIC_ARN": args.alarm_topic_arn},
        allows=report_rejection_role(args.storage, args.alarm_topic_arn),
        timeout_s=30,
        memory_mib=256,
    )


def report_rejection_role(storage: Storage, topic_arn: pulumi.Input[str]) -> list[Allow]:
    """Permissions of `report_rejection`: read the evaluation report, publish the notification."""
    return [
        storage.artifacts.grant_read(contract.MODELS_PREFIX),
        storage.key.grant_decrypt(),
        Allow(actions=["sns:Publish"], resources=[topic_arn]),
        storage.key.grant_encrypt(),  # SNS encrypts a message with the publisher's permissions on the key
    ]


def render_buildspec_role(storage: Storage, pipeline_arn: pulumi.Output[str]) -> list[Allow]:
    """Permissions of `render_buildspec`: read manifest, code version and executions, write a buildspec."""
    return [
        *storage.grant_read_prepared_runs(),
        storage.artifacts.grant_read_object(contract.CODE_BUNDLE_KEY),
        # PutObject with If-Match also requires GetObject.
        storage.artifacts.grant_read(contract.BUILDSPECS_PREFIX),
        storage.artifacts.grant_write(contract.BUILDSPECS_PREFIX),
        storage.artifacts.grant_list_all(),
        storage.key.grant_encrypt(),
        Allow(actions=["sagemaker:ListPipelineExecutions"], resources=[pipeline_arn]),
    ]


def build_role(storage: Storage, pipeline_arn: pulumi.Output[str], pipeline_role: ServiceRole) -> list[Allow]:
    """Permissions of a build: publish the run's source, upsert, start and follow the pipeline."""
    artifacts, key = storage.artifacts, storage.key
    return [
        *storage.grant_read_prepared_runs(),
        artifacts.grant_read_object(contract.CODE_BUNDLE_KEY),
        artifacts.grant_read_versions(contract.CODE_BUNDLE_KEY),
        artifacts.grant_read(contract.BUILDSPECS_PREFIX),
        artifacts.grant_write(contract.MODELS_PREFIX),
        artifacts.grant_list_all(),
        artifacts.grant_get_identity(),
        key.grant_encrypt(),
        Allow(
            actions=[
                "sagemaker:AddTags",
                "sagemaker:CreatePipeline",
                "sagemaker:ListPipelineExecutions",
                "sagemaker:StartPipelineExecution",
                "sagemaker:UpdatePipeline",
            ],
            resources=[pipeline_arn],
        ),
        Allow(
            actions=["sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"],
            resources=[pulumi.Output.concat(pipeline_arn, "/execution/*")],
        ),
        Allow(
            actions=["logs:DescribeLogStreams", "logs:GetLogEvents"],
            resources=[key.resource_arn("logs", f"log-group:{group}:*") for group in JOB_LOG_GROUPS.values()],
        ),
        grant_pass_role(pipeline_role.arn, SAGEMAKER),
    ]
