"""Serving slice: the endpoint, the promotion of models to it, and the recommendation API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.alarm import Threshold, metric_alarm
from components.archives import file_asset
from components.dead_letter_queue import DeadLetterQueue
from components.endpoint import Endpoint, EndpointArgs
from components.event_route import EventRoute, EventRouteArgs, FunctionTarget
from components.http_api import DEFAULT_ROUTE, HttpApi, HttpApiArgs
from components.lambda_function import LambdaFunction, LambdaFunctionArgs
from components.model_artifact import bootstrap_artifact
from components.network import Network
from components.rollout_alarms import AnswerMetrics
from ml import contract
from stacks import paths
from stacks.batch_recommendations import BatchRecommendations, BatchRecommendationsArgs
from stacks.functions import FunctionDefaults
from stacks.sections import ApiConfig, BatchConfig, ServingConfig
from stacks.serving_roles import deploy_model_role, endpoint_model_role, recommend_role
from stacks.spark_sections import FeatureStoreConfig
from stacks.storage import Storage

ROUTES = ("GET /recommendations/{user_id}", "POST /recommendations", DEFAULT_ROUTE)
BOOTSTRAP_KEY = f"{contract.MODELS_PREFIX}{contract.BOOTSTRAP_MODEL_VERSION}/{contract.MODEL_ARCHIVE}"
RECOMMEND_TIMEOUT_S = 15  # of the function and of the API's integration
MAX_FALLBACKS = 5  # in a minute: single ones are requests during the replacement of an instance


@dataclass(frozen=True, kw_only=True)
class ServingArgs:
    """Arguments of `Serving`.

    Attributes:
        stage_name: part of the endpoint's name.
        region: region of AWS's container images.
        image: URI of the inference container's image.
        serving, api: sections of the stage configuration.
        event_weights: weight of each event type, as in the preparation.
        batch: section `batch_recommendations` of the stage configuration.
        batch_image: URI of its container's image.
        feature_store: database that gets the batch recommendations as well; None: S3 only.
        network: network of the feature store's clients.
        tags: tags of the batch jobs.
        recommend_concurrency: reserved concurrency of `recommend`; None uses the account's pool.
        functions: arguments that all functions share.
        log_retention_days: retention of the log groups of endpoint and API.
        storage: the buckets, the key and the model package group.
        alarm_topic_arn: topic that alarms and rollbacks notify.
    """

    stage_name: str
    region: str
    image: str
    serving: ServingConfig
    api: ApiConfig
    event_weights: Mapping[str, float]
    batch: BatchConfig
    batch_image: str
    feature_store: FeatureStoreConfig | None
    network: Network
    tags: Mapping[str, str]
    recommend_concurrency: int | None
    functions: FunctionDefaults
    log_retention_days: int
    storage: Storage
    alarm_topic_arn: pulumi.Input[str]


class Serving(pulumi.ComponentResource):
    """SageMaker endpoint, the function that deploys models to it, and the HTTP API in front of it.

    Creates: Endpoint, LambdaFunction (2), EventRoute (2, and one with batch recommendations),
    HttpApi, MetricAlarm, and BatchRecommendations if the stage has them.
    """

    endpoint: Endpoint
    batch: BatchRecommendations | None
    deploy_model: LambdaFunction
    recommend: LambdaFunction
    api: HttpApi
    functions: dict[str, LambdaFunction]
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: ServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Serving", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.endpoint = Endpoint("endpoint", _endpoint(args), child)
        self.batch = _batch(args, child)
        self.deploy_model = LambdaFunction(
            "deploy-model", _deploy_model(args, self.endpoint, self.batch), child
        )
        self.recommend = LambdaFunction("recommend", _recommend(args, self.endpoint), child)
        self.api = HttpApi("api", _api(args, self.recommend), child)
        metric_alarm("recommend-fallbacks", _fallbacks(self.recommend), args.alarm_topic_arn, child)
        self.functions = {"deploy model": self.deploy_model, "recommend": self.recommend}
        # `recommend` is invoked synchronously, so that its queue stays empty.
        self.dead_letter_queues = {
            "deploy model": self.deploy_model.dead_letter_queue,
            **{label: route.dead_letter_queue for label, route in self._routes(args, child).items()},
        }
        self.register_outputs({})

    def _routes(self, args: ServingArgs, child: pulumi.ResourceOptions) -> dict[str, EventRoute]:
        """Events that start and end a deployment of a model, or repeat a batch job.

        Reviews are events in stages with automatic approval too: rejecting a package rolls back to the one
        before it.
        """
        target = FunctionTarget(name=self.deploy_model.name, arn=self.deploy_model.arn)

        def route(label: str, description: str, **event: Any) -> EventRoute:
            return EventRoute(
                label.replace(" ", "-"),
                EventRouteArgs(
                    description=description, target=target, alarm_topic_arn=args.alarm_topic_arn, **event
                ),
                child,
            )

        routes = {
            "endpoint changed": route(
                "endpoint changed",
                "The endpoint completed a rollout or rolled it back",
                source="aws.sagemaker",
                detail_type="SageMaker Endpoint State Change",
                detail={"EndpointName": [self.endpoint.name]},
            ),
            "model reviewed": route(
                "model reviewed",
                "A person approved or rejected a model package",
                source="aws.sagemaker",
                detail_type="SageMaker Model Package State Change",
                detail={
                    "ModelPackageGroupName": [args.storage.packages.name],
                    # Changes of a package's metadata send events too; they are not reviews.
                    "UpdatedModelPackageFields": ["ModelApprovalStatus"],
                    "ModelApprovalStatus": ["Approved", "Rejected"],
                },
            ),
        }
        if self.batch is not None:
            routes["batch job failed"] = route(
                "batch job failed",
                "A job of the batch recommendations failed: it starts again",
                **self.batch.ended_event("Failed"),
            )
        return routes


def _batch(args: ServingArgs, child: pulumi.ResourceOptions) -> BatchRecommendations | None:
    """The batch recommendations of the stage, if it has them."""
    if not args.batch.enabled:
        return None
    return BatchRecommendations(
        "batch",
        BatchRecommendationsArgs(
            endpoint_name=f"ncf-{args.stage_name}",
            config=args.batch,
            image=args.batch_image,
            storage=args.storage,
            feature_store=args.feature_store,
            network=args.network,
            tags=args.tags,
        ),
        child,
    )


def _endpoint(args: ServingArgs) -> EndpointArgs:
    artifact = bootstrap_artifact(
        {"schema_version": contract.SCHEMA_VERSION, "model_version": contract.BOOTSTRAP_MODEL_VERSION},
        {
            name: (paths.ROOT / path).read_bytes()
            for name, path in contract.serving_sources(paths.ROOT).items()
        },
    )
    key = args.storage.key
    return EndpointArgs(
        endpoint_name=f"ncf-{args.stage_name}",
        variant_name=contract.VARIANT_NAME,
        image=args.image,
        environment=contract.SERVING_ENVIRONMENT,
        bootstrap=file_asset(paths.BUILD / contract.MODEL_ARCHIVE, artifact),
        bootstrap_bucket=args.storage.artifacts.name,
        bootstrap_key=BOOTSTRAP_KEY,
        instance_type=args.serving.instance_type,
        min_instances=args.serving.min_instances,
        max_instances=args.serving.max_instances,
        target_invocations_per_minute=args.serving.target_invocations_per_minute,
        max_latency_ms=args.serving.max_latency_ms,
        bootstrap_version=contract.BOOTSTRAP_MODEL_VERSION,
        latency_minutes=args.serving.latency_minutes,
        answers=AnswerMetrics(
            namespace=contract.METRICS_NAMESPACE,
            answers=contract.ANSWERS_METRIC,
            bad_answers=contract.BAD_ANSWERS_METRIC,
            unknown_version=contract.UNKNOWN_MODEL_VERSION,
        ),
        model_allows=endpoint_model_role(args.storage, {args.image, args.serving.aws_image(args.region)}),
        kms_key_arn=key.arn,
        log_retention_days=args.log_retention_days,
        account_id=key.account_id,
        alarm_topic_arn=args.alarm_topic_arn,
    )


def _deploy_model(
    args: ServingArgs, endpoint: Endpoint, batch: BatchRecommendations | None
) -> LambdaFunctionArgs:
    storage, serving = args.storage, args.serving
    return args.functions.args(
        "deploy_model",
        environment={
            "STAGE_NAME": args.stage_name,
            "TOPIC_ARN": args.alarm_topic_arn,
            "ENDPOINT_NAME": endpoint.name,
            "MODEL_PACKAGE_GROUP": storage.packages.name,
            "VARIANT_NAME": contract.VARIANT_NAME,
            "INSTANCE_TYPE": serving.instance_type,
            "INITIAL_INSTANCE_COUNT": str(serving.min_instances),
            "KMS_KEY_ARN": storage.key.arn,
            "MODEL_ROLE_ARN": endpoint.model_role_arn,
            "ROLLOUT": serving.rollout,
            "STEP_PERCENT": str(serving.step_percent),
            "WAIT_S": str(serving.wait_s),
            "ALARM_NAMES": pulumi.Output.json_dumps(endpoint.rollout_alarms.names),
            "KEEP_LAST": str(serving.keep_last),
            "BATCH_JOB": batch.request if batch else json.dumps(None),
            "ROLLBACKS_PREFIX": contract.ROLLBACKS_PREFIX,
            **_popular_list(storage),
        },
        allows=[
            *deploy_model_role(args.stage_name, storage, endpoint, args.alarm_topic_arn),
            *(batch.grant_start() if batch else []),
        ],
        timeout_s=60,
        memory_mib=256,
    )


def _popular_list(storage: Storage) -> dict[str, pulumi.Input[str]]:
    """Environment variables with the location of the popular list."""
    return {"FALLBACK_BUCKET": storage.artifacts.name, "FALLBACK_KEY": contract.FALLBACK_KEY}


def _recommend(args: ServingArgs, endpoint: Endpoint) -> LambdaFunctionArgs:
    return args.functions.args(
        "recommend",
        environment={
            "ENDPOINT_NAME": endpoint.name,
            "MODEL_TIMEOUT_MS": str(args.api.model_timeout_ms),
            "RECORD_ANSWERS": str(args.api.record_answers).lower(),
            "RECORDING_KEY": contract.RECORDING_KEY,
            "EVENT_WEIGHTS": json.dumps(args.event_weights, sort_keys=True),
            "METRICS_NAMESPACE": contract.METRICS_NAMESPACE,
            **_popular_list(args.storage),
        },
        allows=recommend_role(args.storage, endpoint, records_answers=args.api.record_answers),
        timeout_s=RECOMMEND_TIMEOUT_S,
        memory_mib=512,
        reserved_concurrency=args.recommend_concurrency,
    )


def _fallbacks(recommend: LambdaFunction) -> Threshold:
    return Threshold(
        namespace=contract.METRICS_NAMESPACE,
        metric=contract.FALLBACK_METRIC,
        dimensions={"FunctionName": recommend.name},
        statistic="Sum",
        above=MAX_FALLBACKS,
        description="The API answers with the popular list, because the endpoint does not answer in time: "
        "the metric's log lines have the reason. See the endpoint's alarms and its state.",
    )


def _api(args: ServingArgs, recommend: LambdaFunction) -> HttpApiArgs:
    return HttpApiArgs(
        description=f"Recommendations, stage {args.stage_name}",
        function_name=recommend.name,
        function_arn=recommend.arn,
        routes=ROUTES,
        auth=args.api.auth,
        rate_per_second=args.api.rate_per_second,
        burst=args.api.burst,
        timeout_s=RECOMMEND_TIMEOUT_S,
        kms_key_arn=args.storage.key.arn,
        log_retention_days=args.log_retention_days,
        alarm_topic_arn=args.alarm_topic_arn,
    )
