"""From a prepared run to a registered model: buildspec, build, pipeline roles."""

from __future__ import annotations

import json
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
from components.iam import Allow, ServiceRole, ServiceRoleArgs
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from ml import contract
from stacks import paths, permissions
from stacks.config import StageConfig
from stacks.serving import Serving
from stacks.storage import Storage

# Parameters of StartBuild (CodeBuild API); the key is unique to the run.
START_BUILD = '{"buildspecOverride": "arn:aws:s3:::<bucket>/<key>", "idempotencyToken": "<key>"}'
# A build that nobody gave a buildspec has no run to work for.
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
    """What training needs of the stage and of other slices."""

    stage: StageConfig
    storage: Storage
    serving: Serving
    alarm_topic_arn: pulumi.Input[str]


class Training(pulumi.ComponentResource):
    """The road of a prepared run to the SageMaker pipeline, and the roles that the pipeline works with."""

    pipeline_name: str
    pipeline_arn: pulumi.Output[str]
    render_buildspec: LambdaFunction
    build: CodeBuild
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: TrainingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Training", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stage, storage = args.stage, args.storage
        self._stage, self._storage, self._serving = stage, storage, args.serving
        self._topic = args.alarm_topic_arn
        self.pipeline_name = f"ncf-{stage.stage}"
        key = storage.key
        self.pipeline_arn = permissions.arn(storage, "sagemaker", f"pipeline/{self.pipeline_name}")
        job_role = ServiceRole(
            "job-role", self._role(permissions.training_and_evaluating(storage, stage.region)), child
        )
        pipeline_role = ServiceRole(
            "pipeline-role",
            self._role(
                permissions.orchestrating(
                    storage, args.serving.endpoint, args.serving.deploy_model, job_role.arn
                )
            ),
            child,
        )
        self.render_buildspec = LambdaFunction("render-buildspec", self._render_buildspec(), child)
        self.build = CodeBuild(
            "build",
            CodeBuildArgs(
                description="Upserts the SageMaker pipeline, starts it for one run and follows it",
                source_bucket=storage.artifacts.name,
                source_key=contract.CODE_BUNDLE_KEY,
                buildspec=NO_RUN,
                environment=self._environment(pipeline_role.arn, job_role.arn),
                allows=permissions.building(storage, self.pipeline_name, pipeline_role.arn),
                kms_key_arn=key.arn,
                image=stage.training.build.image,
                compute_type=stage.training.build.compute_type,
                timeout_minutes=stage.training.build.timeout_minutes,
                log_retention_days=stage.storage.log_retention_days,
                account_id=key.account_id,
            ),
            child,
        )
        routes = self._routes(child)
        self.dead_letter_queues = {
            "render buildspec": self.render_buildspec.dead_letter_queue,
            "run prepared": routes[0].dead_letter_queue,
            "buildspec rendered": routes[1].dead_letter_queue,
        }
        self.register_outputs({})

    def _role(self, allows: list[Allow]) -> ServiceRoleArgs:
        return ServiceRoleArgs(
            service=permissions.SAGEMAKER, source_account=self._storage.key.account_id, allows=allows
        )

    def _render_buildspec(self) -> LambdaFunctionArgs:
        stage, storage = self._stage, self._storage
        return LambdaFunctionArgs(
            code=paths.LAMBDAS / "render_buildspec",
            environment={
                "ARTIFACTS_BUCKET": storage.artifacts.name,
                "CODE_BUNDLE_KEY": contract.CODE_BUNDLE_KEY,
                "BUILDSPECS_PREFIX": contract.BUILDSPECS_PREFIX,
                "PREPARED_PREFIX": contract.PREPARED_PREFIX,
            },
            allows=permissions.rendering(storage),
            layer_arns=[stage.functions.powertools_layer_arn],
            kms_key_arn=storage.key.arn,
            alarm_topic_arn=self._topic,
            timeout_s=30,
            memory_mib=256,
            log_retention_days=stage.storage.log_retention_days,
        )

    def _environment(
        self, pipeline_role_arn: pulumi.Output[str], job_role_arn: pulumi.Output[str]
    ) -> dict[str, pulumi.Input[str]]:
        """The stage as `ml.pipeline` reads it; the run comes with the buildspec."""
        storage, serving = self._storage, self._serving
        return {
            contract.ENV_STAGE: self._stage.stage,
            contract.ENV_DATA_BUCKET: storage.data.name,
            contract.ENV_ARTIFACTS_BUCKET: storage.artifacts.name,
            contract.ENV_KMS_KEY_ARN: storage.key.arn,
            contract.ENV_PIPELINE_NAME: self.pipeline_name,
            contract.ENV_PIPELINE_ROLE_ARN: pipeline_role_arn,
            contract.ENV_JOB_ROLE_ARN: job_role_arn,
            contract.ENV_MODEL_ROLE_ARN: serving.endpoint.model_role_arn,
            contract.ENV_MODEL_PACKAGE_GROUP: storage.packages.name,
            contract.ENV_ENDPOINT_NAME: serving.endpoint.name,
            contract.ENV_DEPLOY_FUNCTION_ARN: serving.deploy_model.arn,
            contract.ENV_TRAINING: json.dumps(training_settings(self._stage), sort_keys=True),
        }

    def _routes(self, child: pulumi.ResourceOptions) -> tuple[EventRoute, EventRoute]:
        """A prepared run becomes a buildspec, and a buildspec becomes a build."""
        storage = self._storage
        prepared = EventRoute(
            "run-prepared",
            EventRouteArgs(
                description="A prepared run is whole",
                source="aws.s3",
                detail_type="Object Created",
                detail={
                    "bucket": {"name": [storage.data.name]},
                    "object": {"key": [{"wildcard": contract.run_prefix("*") + contract.SUCCESS_FILE}]},
                },
                target=FunctionTarget(name=self.render_buildspec.name, arn=self.render_buildspec.arn),
                alarm_topic_arn=self._topic,
            ),
            child,
        )
        rendered = EventRoute(
            "buildspec-rendered",
            EventRouteArgs(
                description="A run's buildspec is there",
                source="aws.s3",
                detail_type="Object Created",
                detail={
                    "bucket": {"name": [storage.artifacts.name]},
                    "object": {"key": [{"wildcard": contract.buildspec_key("*")}]},
                },
                target=RoleTarget(
                    arn=self.build.arn, allow=self.build.start(), account_id=storage.key.account_id
                ),
                transformer=InputTransformer(
                    paths={"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"},
                    template=START_BUILD,
                ),
                alarm_topic_arn=self._topic,
            ),
            child,
        )
        return prepared, rendered


def training_settings(stage: StageConfig) -> dict[str, object]:
    """What `ml.pipeline` reads as NCF_TRAINING."""
    return {
        **stage.training.model_dump(exclude={"build"}),
        "serving_instance_type": stage.serving.instance_type,
        "tags": stage.tags.model_dump(),
    }
