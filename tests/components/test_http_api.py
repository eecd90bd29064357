"""HTTP API: authorization, routes, throttling and access log."""

import json
from typing import Any

import pytest

from components.http_api import HttpApi, HttpApiArgs
from tests import pulumi_engine
from tests.pulumi_engine import Recording

FUNCTION_ARN = "arn:aws:lambda:ap-northeast-2:123456789012:function:recommend"
KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"
ROUTE = "aws:apigatewayv2/route:Route"


def arguments(**overrides: Any) -> HttpApiArgs:
    return HttpApiArgs(
        **{
            "description": "Recommendations",
            "function_name": "recommend",
            "function_arn": FUNCTION_ARN,
            "routes": ["GET /recommendations/{user_id}", "POST /recommendations", "$default"],
            "auth": "iam",
            "rate_per_second": 50,
            "burst": 100,
            "timeout_s": 15,
            "kms_key_arn": KEY_ARN,
            "log_retention_days": 14,
            "alarm_topic_arn": TOPIC_ARN,
            **overrides,
        }
    )


def build(**overrides: Any) -> Recording:
    return pulumi_engine.run(lambda: HttpApi("api", arguments(**overrides)).url)


@pytest.mark.parametrize(("auth", "expected"), [("iam", "AWS_IAM"), ("none", "NONE")])
def test_every_route_has_the_configured_authorization(auth: str, expected: str) -> None:
    routes = build(auth=auth).of(ROUTE)
    assert {route.inputs["routeKey"] for route in routes} == set(arguments().routes)
    assert {route.inputs["authorizationType"] for route in routes} == {expected}


def test_every_route_invokes_the_function_with_payload_format_2() -> None:
    done = build()
    integration = done.one("aws:apigatewayv2/integration:Integration")
    assert integration.inputs["integrationUri"] == FUNCTION_ARN
    assert integration.inputs["payloadFormatVersion"] == "2.0"
    assert integration.inputs["timeoutMilliseconds"] == 15_000
    assert {route.inputs["target"] for route in done.of(ROUTE)} == {"integrations/api-function-id"}


def test_function_permits_this_api_only() -> None:
    permission = build().one("aws:lambda/permission:Permission").inputs
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["sourceArn"] == "arn:aws:execute-api:ap-northeast-2:123456789012:api1/*/*"


def test_stage_throttles_and_has_an_access_log() -> None:
    done = build()
    stage = done.one("aws:apigatewayv2/stage:Stage").inputs
    assert stage["defaultRouteSettings"]["throttlingRateLimit"] == 50
    assert stage["defaultRouteSettings"]["throttlingBurstLimit"] == 100
    group = done.one("aws:cloudwatch/logGroup:LogGroup")
    assert stage["accessLogSettings"]["destinationArn"] == group.outputs["arn"]
    assert group.inputs["retentionInDays"] == 14
    line = json.loads(stage["accessLogSettings"]["format"])
    assert {"requestId", "routeKey", "status", "caller"} <= set(line)
    assert all(value.startswith("$context.") for value in line.values())


def test_repeated_server_errors_start_an_alarm() -> None:
    alarm = build().one("aws:cloudwatch/metricAlarm:MetricAlarm").inputs
    assert (alarm["metricName"], alarm["dimensions"]) == ("5xx", {"ApiId": "api-id"})
    assert (alarm["evaluationPeriods"], alarm["alarmActions"]) == (2, [TOPIC_ARN])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"routes": ["/recommendations"]}, "write 'GET /path'"),
        ({"routes": ["get /recommendations"]}, "write 'GET /path'"),
        ({"timeout_s": 31}, "HTTP APIs take 1 to 30"),
    ],
)
def test_invalid_api_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**overrides)
