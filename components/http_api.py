"""API Gateway HTTP API with a Lambda integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.alarm import Threshold, metric_alarm

MAX_INTEGRATION_TIMEOUT_S = 30  # API Gateway quotas, HTTP API
DEFAULT_ROUTE = "$default"
# One log line per request. The request id is the one in the response that the client received.
ACCESS_LOG_FIELDS = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "caller": "$context.identity.caller",
    "sourceIp": "$context.identity.sourceIp",
    "routeKey": "$context.routeKey",
    "status": "$context.status",
    "responseLatencyMs": "$context.responseLatency",
    "integrationLatencyMs": "$context.integrationLatency",
    "integrationError": "$context.integrationErrorMessage",
    "responseLengthBytes": "$context.responseLength",
}


@dataclass(frozen=True, kw_only=True)
class HttpApiArgs:
    """Arguments of `HttpApi`.

    Attributes:
        description: description of the API.
        function_name, function_arn: the integrated Lambda function.
        routes: route keys such as ``GET /things/{id}``; ``$default`` matches all other requests.
        auth: ``iam`` requires SigV4-signed requests, ``none`` allows anonymous ones.
        rate_per_second, burst: throttling of the API's stage.
        timeout_s: timeout of the integration.
        kms_key_arn, log_retention_days: encryption and retention of the access log.
        alarm_topic_arn: topic that is notified of repeated server errors.
    """

    description: str
    function_name: pulumi.Input[str]
    function_arn: pulumi.Input[str]
    routes: Sequence[str]
    auth: Literal["iam", "none"]
    rate_per_second: float
    burst: int
    timeout_s: int
    kms_key_arn: pulumi.Input[str]
    log_retention_days: int
    alarm_topic_arn: pulumi.Input[str]

    def __post_init__(self) -> None:
        for route in self.routes:
            method, space, path = route.partition(" ")
            if route != DEFAULT_ROUTE and not (method.isupper() and space and path.startswith("/")):
                raise ValueError(f"route {route!r}: write 'GET /path' or '{DEFAULT_ROUTE}'")
        if not 1 <= self.timeout_s <= MAX_INTEGRATION_TIMEOUT_S:
            raise ValueError(f"timeout_s {self.timeout_s}: HTTP APIs take 1 to {MAX_INTEGRATION_TIMEOUT_S}")


class HttpApi(pulumi.ComponentResource):
    """HTTP API: routes to one Lambda function, one stage with an access log and throttling, a 5xx alarm.

    Creates: Api, Integration, Permission, Route (one per route key), LogGroup, Stage, MetricAlarm.
    """

    api_id: pulumi.Output[str]
    url: pulumi.Output[str]
    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: HttpApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:api:HttpApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        api = aws.apigatewayv2.Api(name, protocol_type="HTTP", description=args.description, opts=child)
        self._routes(name, args, api)
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-access-logs",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.kms_key_arn,
            opts=child,
        )
        stage = self._stage(name, args, api, log_group)
        metric_alarm(f"{name}-errors", _server_errors(name, api), args.alarm_topic_arn, child)
        # The endpoint does not respond before the stage exists.
        self.url = pulumi.Output.all(api.api_endpoint, stage.id).apply(lambda values: values[0])
        self.api_id = api.id
        self.log_group_name = log_group.name
        self.register_outputs({"url": self.url, "api_id": self.api_id, "log_group_name": self.log_group_name})

    def _routes(self, name: str, args: HttpApiArgs, api: aws.apigatewayv2.Api) -> None:
        """Routes to the function, and the function's permission for this API to invoke it."""
        child = pulumi.ResourceOptions(parent=self)
        integration = aws.apigatewayv2.Integration(
            f"{name}-function",
            api_id=api.id,
            integration_type="AWS_PROXY",
            integration_method="POST",
            integration_uri=args.function_arn,
            payload_format_version="2.0",
            timeout_milliseconds=args.timeout_s * 1000,
            opts=child,
        )
        permission = aws.lambda_.Permission(
            f"{name}-permission",
            action="lambda:InvokeFunction",
            function=args.function_name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(api.execution_arn, "/*/*"),
            opts=child,
        )
        for route in args.routes:
            aws.apigatewayv2.Route(
                f"{name}-{_slug(route)}",
                api_id=api.id,
                route_key=route,
                target=pulumi.Output.concat("integrations/", integration.id),
                authorization_type={"iam": "AWS_IAM", "none": "NONE"}[args.auth],
                opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
            )

    def _stage(
        self, name: str, args: HttpApiArgs, api: aws.apigatewayv2.Api, log_group: aws.cloudwatch.LogGroup
    ) -> aws.apigatewayv2.Stage:
        """Default stage with throttling and the access log."""
        return aws.apigatewayv2.Stage(
            f"{name}-stage",
            api_id=api.id,
            name=DEFAULT_ROUTE,
            auto_deploy=True,
            access_log_settings={
                "destination_arn": log_group.arn,
                "format": pulumi.Output.json_dumps(ACCESS_LOG_FIELDS),
            },
            default_route_settings={
                "throttling_rate_limit": args.rate_per_second,
                "throttling_burst_limit": args.burst,
                "detailed_metrics_enabled": True,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def _server_errors(name: str, api: aws.apigatewayv2.Api) -> Threshold:
    return Threshold(
        namespace="AWS/ApiGateway",
        metric="5xx",
        dimensions={"ApiId": api.id},
        statistic="Sum",
        above=0,
        period_s=300,
        n_periods=2,
        description=f"{name} returns server errors repeatedly: look up a request ID of its access "
        "log in the log of the function.",
    )


def _slug(route: str) -> str:
    """``GET /recommendations/{user_id}`` as ``get-recommendations-user-id``."""
    words = "".join(letter if letter.isalnum() else " " for letter in route.lower()).split()
    return "-".join(words)
