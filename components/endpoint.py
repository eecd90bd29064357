"""A real-time SageMaker endpoint that exists before any model was trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import Threshold, metric_alarm
from components.iam import Allow, ServiceRole, ServiceRoleArgs, write_as_container

ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # SageMaker API, CreateEndpoint
CODE_FOLDER = "/opt/ml/model/code"  # where the container unpacks the artifact's code/
SCALE_IN_COOLDOWN_S = 300
SCALE_OUT_COOLDOWN_S = 60
STARTUP_TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """What an endpoint needs to know.

    Args:
        endpoint_name: fixed, as others look the endpoint up by it.
        variant_name: constant, as autoscaling is registered on it.
        image: the container that serves, as a full image URI.
        program: the script in ``code/`` that the container loads.
        bootstrap: the first model's artifact, see `model_artifact`.
        bootstrap_bucket, bootstrap_key: where it goes.
        instance_type, min_instances, max_instances: what serves, and between which bounds.
        target_invocations_per_minute: invocations of one instance that autoscaling aims at.
        max_latency_ms: model latency (p99) above which a rollout is taken back.
        model_allows: what the container may do, besides its own log: reading artifacts.
        kms_key_arn, log_retention_days: of the instances' volumes and the endpoint's log.
        account_id: the account on whose behalf SageMaker acts.
        alarm_topic_arn: who is told.
    """

    endpoint_name: str
    variant_name: str
    image: str
    program: str
    bootstrap: pulumi.FileAsset
    bootstrap_bucket: pulumi.Input[str]
    bootstrap_key: str
    instance_type: str
    min_instances: int
    max_instances: int
    target_invocations_per_minute: int
    max_latency_ms: int
    model_allows: Sequence[Allow]
    kms_key_arn: pulumi.Input[str]
    log_retention_days: int
    account_id: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]

    def __post_init__(self) -> None:
        if not ENDPOINT_NAME.fullmatch(self.endpoint_name):
            raise ValueError(
                f"endpoint_name {self.endpoint_name!r}: letters, digits and inner hyphens, 63 at most"
            )
        if not 1 <= self.min_instances <= self.max_instances:
            raise ValueError(
                f"min_instances {self.min_instances}, max_instances {self.max_instances}: 1 ≤ min ≤ max"
            )


class Endpoint(pulumi.ComponentResource):
    """An endpoint on a bootstrap model, with autoscaling and the alarms that take a bad rollout back.

    The program owns that the endpoint exists; which model it serves is decided by whoever promotes
    models, so everything about the first one is ignored once it is there.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    model_role_arn: pulumi.Output[str]
    bootstrap_config_arn: pulumi.Output[str]
    alarm_names: list[pulumi.Output[str]]
    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:serving:Endpoint", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # SageMaker would make this group itself, without a key and for ever.
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=f"/aws/sagemaker/Endpoints/{args.endpoint_name}",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.kms_key_arn,
            opts=child,
        )
        role = ServiceRole(f"{name}-model", self._model_role(args, log_group), child)
        config = self._bootstrap(name, args, role)
        endpoint = aws.sagemaker.Endpoint(
            name,
            name=args.endpoint_name,
            endpoint_config_name=config.name,
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["endpoint_config_name"], depends_on=[log_group]
            ),
        )
        self._autoscaling(name, args, endpoint)
        self.name = endpoint.name
        self.arn = endpoint.arn
        self.model_role_arn = role.arn
        self.bootstrap_config_arn = config.arn
        self.alarm_names = self._alarms(name, args)
        self.log_group_name = log_group.name
        self.register_outputs({"name": self.name, "arn": self.arn, "model_role_arn": self.model_role_arn})

    def invoke(self) -> Allow:
        """Asking the endpoint by a role of one's own."""
        return Allow(actions=["sagemaker:InvokeEndpoint"], resources=[self.arn])

    def _model_role(self, args: EndpointArgs, log_group: aws.cloudwatch.LogGroup) -> ServiceRoleArgs:
        return ServiceRoleArgs(
            service="sagemaker.amazonaws.com",
            source_account=args.account_id,
            allows=[*write_as_container([log_group.arn]), *args.model_allows],
        )

    def _bootstrap(
        self, name: str, args: EndpointArgs, role: ServiceRole
    ) -> aws.sagemaker.EndpointConfiguration:
        child = pulumi.ResourceOptions(parent=self)
        artifact = aws.s3.BucketObjectv2(
            f"{name}-bootstrap",
            bucket=args.bootstrap_bucket,
            key=args.bootstrap_key,
            source=args.bootstrap,
            kms_key_id=args.kms_key_arn,
            server_side_encryption="aws:kms",
            opts=child,
        )
        model = aws.sagemaker.Model(
            f"{name}-model",
            execution_role_arn=role.arn,
            # The artifact brings all it needs; the container has no business with the network.
            enable_network_isolation=True,
            primary_container={
                "image": args.image,
                "model_data_url": pulumi.Output.concat("s3://", artifact.bucket, "/", artifact.key),
                "environment": {
                    "SAGEMAKER_PROGRAM": args.program,
                    "SAGEMAKER_SUBMIT_DIRECTORY": CODE_FOLDER,
                },
            },
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["primary_container"]),
        )
        return aws.sagemaker.EndpointConfiguration(
            f"{name}-config",
            kms_key_arn=args.kms_key_arn,
            production_variants=[
                {
                    "variant_name": args.variant_name,
                    "model_name": model.name,
                    "instance_type": args.instance_type,
                    "initial_instance_count": args.min_instances,
                    "initial_variant_weight": 1,
                    "container_startup_health_check_timeout_in_seconds": STARTUP_TIMEOUT_S,
                }
            ],
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["production_variants"]),
        )

    def _autoscaling(self, name: str, args: EndpointArgs, endpoint: aws.sagemaker.Endpoint) -> None:
        child = pulumi.ResourceOptions(parent=self)
        target = aws.appautoscaling.Target(
            f"{name}-instances",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=pulumi.Output.concat("endpoint/", endpoint.name, "/variant/", args.variant_name),
            min_capacity=args.min_instances,
            max_capacity=args.max_instances,
            opts=child,
        )
        aws.appautoscaling.Policy(
            f"{name}-invocations",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "predefined_metric_specification": {
                    "predefined_metric_type": "SageMakerVariantInvocationsPerInstance"
                },
                "target_value": args.target_invocations_per_minute,
                "scale_in_cooldown": SCALE_IN_COOLDOWN_S,
                "scale_out_cooldown": SCALE_OUT_COOLDOWN_S,
            },
            opts=child,
        )

    def _alarms(self, name: str, args: EndpointArgs) -> list[pulumi.Output[str]]:
        """The alarms that a rollout watches: errors of the container, and its latency."""
        dimensions = {"EndpointName": args.endpoint_name, "VariantName": args.variant_name}
        thresholds = {
            "errors": Threshold(
                namespace="AWS/SageMaker",
                metric="Invocation5XXErrors",
                dimensions=dimensions,
                statistic="Sum",
                above=0,
                description=f"{args.endpoint_name} answers with errors: read its log. "
                "A rollout under way is taken back.",
            ),
            "latency": Threshold(
                namespace="AWS/SageMaker",
                metric="ModelLatency",
                dimensions=dimensions,
                statistic="p99",
                above=args.max_latency_ms * 1000,  # the metric is in microseconds
                n_periods=3,
                description=f"{args.endpoint_name} is slow: look at the invocations of an instance. "
                "A rollout under way is taken back.",
            ),
        }
        return [
            metric_alarm(
                f"{name}-{what}", threshold, args.alarm_topic_arn, pulumi.ResourceOptions(parent=self)
            ).name
            for what, threshold in thresholds.items()
        ]
