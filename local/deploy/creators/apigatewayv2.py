"""Creators of HTTP APIs, whose address is a path of the emulator."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator
from local.deploy.inputs import Inputs

MAX_API_NAME = 128  # API Gateway API, CreateApi
DEFAULT_STAGE = "$default"  # the stage without a path in its address


def api_url(context: Context, api_id: str) -> str:
    """Address of an API in the emulator."""
    return f"{context.emulator.url}/_aws/execute-api/{api_id}"


def api(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("apigatewayv2")
    sent = {
        "Name": context.name_of(inputs, name, max_length=MAX_API_NAME),
        **inputs.pick(
            {
                "protocolType": "ProtocolType",
                "description": "Description",
                "disableExecuteApiEndpoint": "DisableExecuteApiEndpoint",
            }
        ),
        "Tags": inputs.plain("tags", {}),
    }
    api_id = client.create_api(**sent)["ApiId"]
    inputs.compare(sent, client.get_api(ApiId=api_id))
    return api_id, {
        "arn": f"arn:aws:apigateway:{context.region}::/apis/{api_id}",
        "name": sent["Name"],
        "apiEndpoint": api_url(context, api_id),
        "executionArn": context.arn("execute-api", api_id),
    }


def integration(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("apigatewayv2")
    api_id = inputs["apiId"]
    sent = inputs.pick(
        {
            "integrationType": "IntegrationType",
            "integrationMethod": "IntegrationMethod",
            "integrationUri": "IntegrationUri",
            "payloadFormatVersion": "PayloadFormatVersion",
            "timeoutMilliseconds": "TimeoutInMillis",
            "description": "Description",
        }
    )
    integration_id = client.create_integration(ApiId=api_id, **sent)["IntegrationId"]
    inputs.compare(sent, client.get_integration(ApiId=api_id, IntegrationId=integration_id))
    return integration_id, {"integrationResponseSelectionExpression": ""}


def route(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("apigatewayv2")
    api_id = inputs["apiId"]
    sent = inputs.pick({"routeKey": "RouteKey", "target": "Target", "authorizationType": "AuthorizationType"})
    route_id = client.create_route(ApiId=api_id, **sent)["RouteId"]
    inputs.compare(sent, client.get_route(ApiId=api_id, RouteId=route_id))
    return route_id, {}


def stage(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    client = context.client("apigatewayv2")
    api_id = inputs["apiId"]
    sent: dict[str, Any] = {
        "StageName": context.name_of(inputs, name, max_length=128),
        **inputs.pick({"autoDeploy": "AutoDeploy", "description": "Description"}),
        "Tags": inputs.plain("tags", {}),
    }
    if access_log := inputs.block("accessLogSettings"):
        sent["AccessLogSettings"] = access_log.pick({"destinationArn": "DestinationArn", "format": "Format"})
    if settings := inputs.block("defaultRouteSettings"):
        sent["DefaultRouteSettings"] = settings.pick(
            {
                "throttlingRateLimit": "ThrottlingRateLimit",
                "throttlingBurstLimit": "ThrottlingBurstLimit",
                "detailedMetricsEnabled": "DetailedMetricsEnabled",
            }
        )
    client.create_stage(ApiId=api_id, **sent)
    stage_name = sent["StageName"]
    inputs.compare(sent, client.get_stage(ApiId=api_id, StageName=stage_name))
    path = "" if stage_name == DEFAULT_STAGE else f"/{stage_name}"
    return stage_name, {
        "arn": f"arn:aws:apigateway:{context.region}::/apis/{api_id}/stages/{stage_name}",
        "name": stage_name,
        "executionArn": context.arn("execute-api", f"{api_id}/{stage_name}"),
        "invokeUrl": f"{api_url(context, api_id)}{path}",
        "deploymentId": "",
    }


CREATORS: dict[str, Creator] = {
    "aws:apigatewayv2/api:Api": api,
    "aws:apigatewayv2/integration:Integration": integration,
    "aws:apigatewayv2/route:Route": route,
    "aws:apigatewayv2/stage:Stage": stage,
}
