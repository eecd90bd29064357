"""From a registered model to an answer: endpoint, promotion and the API."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.archives import file_asset
from components.dead_letter_queue import DeadLetterQueue
from components.endpoint import Endpoint, EndpointArgs
from components.event_route import EventRoute, EventRouteArgs, FunctionTarget
from components.http_api import DEFAULT_ROUTE, HttpApi, HttpApiArgs
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.model_artifact import bootstrap_artifact
from ml import contract
from stacks import paths, permissions
from stacks.config import StageConfig
from stacks.containers import inference_image
from stacks.storage import Storage

ROUTES = ("GET /recommendations/{user_id}", "POST /recommendations", DEFAULT_ROUTE)
BOOTSTRAP_KEY = f"{contract.MODELS_PREFIX}{contract.BOOTSTRAP_MODEL_VERSION}/{contract.MODEL_ARCHIVE}"
SERVING_PROGRAM = "inference.py"


@dataclass(frozen=True, kw_only=True)
class ServingArgs:
    """What serving needs of the stage and of other slices."""

    stage: StageConfig
    storage: Storage
    alarm_topic_arn: pulumi.Input[str]


class Serving(pulumi.ComponentResource):
    """The endpoint, the function that promotes models to it, and the API in front of it."""

    endpoint: Endpoint
    deploy_model: LambdaFunction
    recommend: LambdaFunction
    api: HttpApi
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Serving", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stage, storage = args.stage, args.storage
        self._stage, self._storage, self._topic = stage, storage, args.alarm_topic_arn
        self.endpoint = Endpoint("endpoint", self._endpoint(), child)
        self.deploy_model = LambdaFunction("deploy-model", self._deploy_model(), child)
        self.dead_letter_queues = {
            "deploy model": self.deploy_model.dead_letter_queue,
            **{label: route.dead_letter_queue for label, route in self._promotions(child).items()},
        }
        self.recommend = LambdaFunction("recommend", self._recommend(), child)
        self.api = HttpApi(
            "api",
            HttpApiArgs(
                description=f"Recommendations, stage {stage.stage}",
                function_name=self.recommend.name,
                function_arn=self.recommend.arn,
                routes=ROUTES,
                auth=stage.api.auth,
                rate_per_second=stage.api.rate_per_second,
                burst=stage.api.burst,
                timeout_s=15,
                kms_key_arn=storage.key.arn,
                log_retention_days=stage.storage.log_retention_days,
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        self.register_outputs({})

    def _endpoint(self) -> EndpointArgs:
        stage, storage, serving = self._stage, self._storage, self._stage.serving
        artifact = bootstrap_artifact(
            {"schema_version": contract.SCHEMA_VERSION, "model_version": contract.BOOTSTRAP_MODEL_VERSION},
            {name: (paths.ROOT / path).read_bytes() for name, path in contract.SERVING_SOURCES.items()},
        )
        return EndpointArgs(
            endpoint_name=f"ncf-{stage.stage}",
            variant_name=contract.VARIANT_NAME,
            image=inference_image(stage),
            program=SERVING_PROGRAM,
            bootstrap=file_asset(paths.BUILD / contract.MODEL_ARCHIVE, artifact),
            bootstrap_bucket=storage.artifacts.name,
            bootstrap_key=BOOTSTRAP_KEY,
            instance_type=serving.instance_type,
            min_instances=serving.min_instances,
            max_instances=serving.max_instances,
            target_invocations_per_minute=serving.target_invocations_per_minute,
            max_latency_ms=serving.max_latency_ms,
            model_allows=permissions.serving_models(storage, stage.region),
            kms_key_arn=storage.key.arn,
            log_retention_days=stage.storage.log_retention_days,
            account_id=storage.key.account_id,
            alarm_topic_arn=self._topic,
        )

    def _deploy_model(self) -> LambdaFunctionArgs:
        stage, storage, serving = self._stage, self._storage, self._stage.serving
        return LambdaFunctionArgs(
            code=paths.LAMBDAS / "deploy_model",
            environment={
                "ENDPOINT_NAME": self.endpoint.name,
                "MODEL_PACKAGE_GROUP": storage.packages.name,
                "VARIANT_NAME": contract.VARIANT_NAME,
                "INSTANCE_TYPE": serving.instance_type,
                "INITIAL_INSTANCE_COUNT": str(serving.min_instances),
                "KMS_KEY_ARN": storage.key.arn,
                "MODEL_ROLE_ARN": self.endpoint.model_role_arn,
                "ROLLOUT": serving.rollout,
                "STEP_PERCENT": str(serving.step_percent),
                "WAIT_S": str(serving.wait_s),
                "ALARM_NAMES": pulumi.Output.json_dumps(self.endpoint.alarm_names),
                "KEEP_LAST": str(serving.keep_last),
            },
            allows=permissions.promoting(storage, self.endpoint),
            layer_arns=[stage.functions.powertools_layer_arn],
            kms_key_arn=storage.key.arn,
            alarm_topic_arn=self._topic,
            timeout_s=60,
            memory_mib=256,
            log_retention_days=stage.storage.log_retention_days,
        )

    def _promotions(self, child: pulumi.ResourceOptions) -> dict[str, EventRoute]:
        """The events that start and end a rollout."""
        routes = {}
        target = FunctionTarget(name=self.deploy_model.name, arn=self.deploy_model.arn)
        routes["endpoint changed"] = EventRoute(
            "endpoint-changed",
            EventRouteArgs(
                description="The endpoint finished a rollout, or took it back",
                source="aws.sagemaker",
                detail_type="SageMaker Endpoint State Change",
                detail={"EndpointName": [self.endpoint.name]},
                target=target,
                alarm_topic_arn=self._topic,
            ),
            child,
        )
        if self._stage.training.approval == "manual":
            routes["model reviewed"] = EventRoute(
                "model-reviewed",
                EventRouteArgs(
                    description="A person approved or rejected a model package",
                    source="aws.sagemaker",
                    detail_type="SageMaker Model Package State Change",
                    detail={
                        "ModelPackageGroupName": [self._storage.packages.name],
                        # Metadata that is written on a package is an event too, and none of its concern.
                        "UpdatedModelPackageFields": ["ModelApprovalStatus"],
                        "ModelApprovalStatus": ["Approved", "Rejected"],
                    },
                    target=target,
                    alarm_topic_arn=self._topic,
                ),
                child,
            )
        return routes

    def _recommend(self) -> LambdaFunctionArgs:
        stage = self._stage
        return LambdaFunctionArgs(
            code=paths.LAMBDAS / "recommend",
            environment={"ENDPOINT_NAME": self.endpoint.name},
            allows=[self.endpoint.invoke()],
            layer_arns=[stage.functions.powertools_layer_arn],
            kms_key_arn=self._storage.key.arn,
            alarm_topic_arn=self._topic,
            timeout_s=15,
            memory_mib=512,
            log_retention_days=stage.storage.log_retention_days,
            reserved_concurrency=stage.functions.recommend_concurrency,
        )
