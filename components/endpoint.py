"""Real-time SageMaker endpoint, created on a bootstrap model before any model is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.alarm import ExpressionThreshold, expression_alarm
from components.iam import Allow, ServiceRole, ServiceRoleArgs, grant_container_logs_and_metrics
from components.rollout_alarms import AnswerMetrics, RolloutAlarms, RolloutAlarmsArgs

ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # SageMaker API, CreateEndpoint
SCALE_IN_COOLDOWN_S = 300
SCALE_OUT_COOLDOWN_S = 60
STARTUP_TIMEOUT_S = 300
# CloudWatch user guide, metric math, IF: a rate is only compared where there are enough invocations. It is
# below the share of traffic that the first step of a canary gets, so that a failing canary is noticed.
MIN_FAILURES = 3  # in a minute
MAX_FAILED_PERCENT = 5  # of the invocations of a minute
MIN_INVOCATIONS = 20  # in a minute, for the 99th percentile of the latency


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """Arguments of `Endpoint`.

    Attributes:
        endpoint_name: fixed, because clients look the endpoint up by name.
        variant_name: fixed, because autoscaling is registered on the variant.
        image: URI of the inference container.
        environment: environment variables of the container.
        bootstrap: artifact of the first model, see `bootstrap_artifact`.
        bootstrap_bucket, bootstrap_key: location that `bootstrap` is uploaded to.
        instance_type, min_instances, max_instances: instances of the variant and the bounds of autoscaling.
        target_invocations_per_minute: target of autoscaling, per instance.
        max_latency_ms: p99 model latency above which an alarm goes into ALARM; see `RolloutAlarmsArgs`.
        bootstrap_version: model version of `bootstrap`.
        latency_minutes, answers: see `RolloutAlarmsArgs`.
        model_allows: permissions of the container, in addition to writing its log and metrics.
        kms_key_arn: encrypts the instances' volumes, the log group and the artifact.
        log_retention_days: retention of the log group.
        account_id: the account on whose behalf SageMaker acts.
        alarm_topic_arn: topic that the alarms notify.
    """

    endpoint_name: str
    variant_name: str
    image: str
    environment: Mapping[str, str]
    bootstrap: pulumi.FileAsset
    bootstrap_bucket: pulumi.Input[str]
    bootstrap_key: str
    instance_type: str
    min_instances: int
    max_instances: int
    target_invocations_per_minute: int
    max_latency_ms: int
    bootstrap_version: str
    latency_minutes: int
    answers: AnswerMetrics
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
    """SageMaker endpoint on a bootstrap model, with autoscaling, alarms, and those that roll a rollout back.

    Pulumi manages the endpoint, but not the model that it serves: later deployments replace the bootstrap
    model and its endpoint config, so changes to them are ignored.

    Creates: LogGroup, ServiceRole, BucketObjectv2, Model, EndpointConfiguration, Endpoint, Target, Policy
    (autoscaling), MetricAlarm (2), RolloutAlarms.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    model_role_arn: pulumi.Output[str]
    rollout_alarms: RolloutAlarms
    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:serving:Endpoint", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # SageMaker would create the group without encryption and without retention.
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
        self._alarms(name, args)
        self.rollout_alarms = RolloutAlarms(
            f"{name}-rollout",
            RolloutAlarmsArgs(
                endpoint_name=args.endpoint_name,
                variant_name=args.variant_name,
                config_name=config.name,
                model_version=args.bootstrap_version,
                max_latency_ms=args.max_latency_ms,
                latency_minutes=args.latency_minutes,
                answers=args.answers,
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )
        self.log_group_name = log_group.name
        self.register_outputs({"name": self.name, "arn": self.arn, "model_role_arn": self.model_role_arn})

    def grant_invoke(self) -> Allow:
        """Permission to invoke this endpoint; attach it to the caller's role."""
        return Allow(actions=["sagemaker:InvokeEndpoint"], resources=[self.arn])

    def _model_role(self, args: EndpointArgs, log_group: aws.cloudwatch.LogGroup) -> ServiceRoleArgs:
        return ServiceRoleArgs(
            service="sagemaker.amazonaws.com",
            source_account=args.account_id,
            allows=[
                *grant_container_logs_and_metrics([log_group.arn], creates_groups=False),
                *args.model_allows,
            ],
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
            # The artifact contains everything that serving needs.
            enable_network_isolation=True,
            primary_container={
                "image": args.image,
                "model_data_url": pulumi.Output.concat("s3://", artifact.bucket, "/", artifact.key),
                "environment": dict(args.environment),
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

    def _alarms(self, name: str, args: EndpointArgs) -> None:
        """Alarms on errors and latency of the model that serves, whichever it is.

        Both need several invocations in a minute. A single failure, such as one of an instance that is
        replaced, is no reason for an alarm; the 99th percentile of a few invocations is their maximum.
        """
        dimensions = {"EndpointName": args.endpoint_name, "VariantName": args.variant_name}
        requests = ("Invocations", "Sum")
        thresholds = {
            "errors": ExpressionThreshold(
                namespace="AWS/SageMaker",
                dimensions=dimensions,
                metrics={"failures": ("Invocation5XXErrors", "Sum"), "requests": requests},
                expression=f"IF(failures >= {MIN_FAILURES}, 100 * failures / requests, 0)",
                above=MAX_FAILED_PERCENT,
                description=f"{args.endpoint_name} answers with errors: read its log.",
            ),
            "latency": ExpressionThreshold(
                namespace="AWS/SageMaker",
                dimensions=dimensions,
                metrics={"latency": ("ModelLatency", "p99"), "requests": requests},
                expression=f"IF(requests >= {MIN_INVOCATIONS}, latency, 0)",
                above=args.max_latency_ms * 1000,  # the metric is in microseconds
                n_periods=3,
                description=f"{args.endpoint_name} is slow: look at the invocations of an instance.",
            ),
        }
        for label, threshold in thresholds.items():
            expression_alarm(
                f"{name}-{label}", threshold, args.alarm_topic_arn, pulumi.ResourceOptions(parent=self)
            )
