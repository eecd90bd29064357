"""HTTP APIs: routing, events, responses, throttling, access log."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator.app import Emulator
from emulator.services.apigateway.routes import match_route, split_stage
from tests.emulator.support import make_function
from tests.polling import eventually

ECHO = """
import base64, json
def handler(event, context):
    path = event["rawPath"]
    if path.endswith("/raise"): raise ValueError("no")
    if path.endswith("/plain"): return {"plain": True}
    if path.endswith("/binary"):
        return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(b"\\x00\\xff").decode()}
    if path.endswith("/slow"):
        import time; time.sleep(3)
    headers = {"Content-Type": "application/json", "X-Own": "1"}
    return {"statusCode": 201, "headers": headers, "cookies": ["a=1", "b=2"], "body": json.dumps(event)}
"""
ROUTES = ("GET /things/{thing_id}", "POST /things", "ANY /all/{proxy+}", "$default")


@dataclass
class FakeRoute:
    """Substitute for moto's route, with the only field that `match_route` reads."""

    route_key: str


def make_api(
    emulator: Emulator,
    name: str,
    routes: tuple[str, ...] = ROUTES,
    *,
    timeout_ms: int = 20_000,
    **stage: Any,
) -> str:
    """Create an API with a function of the same name; return its endpoint."""
    gateway = emulator.client("apigatewayv2")
    function = make_function(emulator, name, ECHO)
    api = gateway.create_api(Name=name, ProtocolType="HTTP")
    integration = gateway.create_integration(
        ApiId=api["ApiId"],
        IntegrationType="AWS_PROXY",
        IntegrationUri=function,
        PayloadFormatVersion="2.0",
        TimeoutInMillis=timeout_ms,
    )["IntegrationId"]
    for key in routes:
        gateway.create_route(
            ApiId=api["ApiId"],
            RouteKey=key,
            Target=f"integrations/{integration}",
            AuthorizationType="AWS_IAM",
        )
    gateway.create_stage(ApiId=api["ApiId"], **{"StageName": "$default", "AutoDeploy": True, **stage})
    emulator.client("lambda").add_permission(
        FunctionName=name,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{emulator.region}:{emulator.account_id}:{api['ApiId']}/*/*",
    )
    return str(api["ApiEndpoint"])


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> str:
    """API with an access log."""
    form = json.dumps(
        {"status": "$context.status", "route": "$context.routeKey", "who": "$context.identity.caller"}
    )
    group = f"arn:aws:logs:{emulator.region}:{emulator.account_id}:log-group:/shop/access"
    return make_api(emulator, "echo", AccessLogSettings={"DestinationArn": group, "Format": form})


def call(
    endpoint: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, list[str]], bytes]:
    """Send a request; return (status, headers, body)."""
    url = urlsplit(endpoint)
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request(method, url.path + path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    found: dict[str, list[str]] = {}
    for name, value in response.getheaders():
        found.setdefault(name.lower(), []).append(value)
    return response.status, found, content


def test_function_receives_payload_format_2(emulator: Emulator, api: str) -> None:
    headers = {"Cookie": "x=1; y=2", "X-Two": "a"}
    status, _, body = call(api, "GET", "/things/a%2Fb%20c?k=10&k=20&empty", headers=headers)
    event = json.loads(body)
    assert status == 201
    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /things/{thing_id}"
    assert event["pathParameters"] == {"thing_id": "a/b c"}
    assert event["queryStringParameters"] == {"k": "10,20", "empty": ""}
    assert event["rawQueryString"] == "k=10&k=20&empty"
    assert event["cookies"] == ["x=1", "y=2"]
    assert event["headers"]["x-two"] == "a"
    assert "cookie" not in event["headers"]
    assert "body" not in event
    context = event["requestContext"]
    assert (context["http"]["method"], context["stage"]) == ("GET", "$default")
    assert (context["http"]["sourceIp"], context["accountId"]) == ("127.0.0.1", emulator.account_id)


@pytest.mark.parametrize(
    ("kind", "body", "seen", "encoded"),
    [
        ("application/json", b'{"a": 1}', '{"a": 1}', False),
        ("text/plain; charset=utf-8", "ü".encode(), "ü", False),
        ("application/octet-stream", b"\x00\xff", "AP8=", True),
    ],
)
def test_body_is_text_or_base64(api: str, kind: str, body: bytes, seen: str, encoded: bool) -> None:
    event = json.loads(call(api, "POST", "/things", body, {"Content-Type": kind})[2])
    assert (event["body"], event["isBase64Encoded"]) == (seen, encoded)


def test_function_result_becomes_response(api: str) -> None:
    status, headers, _ = call(api, "GET", "/things/1")
    assert (status, headers["x-own"], headers["set-cookie"]) == (201, ["1"], ["a=1", "b=2"])
    assert headers["content-type"] == ["application/json"]
    assert headers["apigw-requestid"]
    assert call(api, "GET", "/plain")[0::2] == (200, b'{"plain": true}')
    assert call(api, "GET", "/binary")[2] == b"\x00\xff"


def test_function_error_is_hidden_from_client(api: str) -> None:
    status, _, body = call(api, "GET", "/raise")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_integration_timeout_is_service_unavailable(emulator: Emulator) -> None:
    endpoint = make_api(emulator, "slow", ("$default",), timeout_ms=200)
    status, _, body = call(endpoint, "GET", "/slow")
    assert (status, json.loads(body)) == (503, {"message": "Service Unavailable"})


def test_access_log_has_a_line_per_request(emulator: Emulator, api: str) -> None:
    call(api, "GET", "/things/logged")
    call(api, "GET", "/raise")
    found = emulator.client("logs").filter_log_events(logGroupName="/shop/access")["events"]
    assert [json.loads(event["message"]) for event in found[-2:]] == [
        {"status": "201", "route": "GET /things/{thing_id}", "who": "-"},
        {"status": "500", "route": "$default", "who": "-"},
    ]


def test_named_stage_is_served_below_its_name_and_needs_permission(emulator: Emulator) -> None:
    endpoint = make_api(emulator, "named", ("GET /x",), StageName="v1", StageVariables={"colour": "red"})
    status, _, body = call(endpoint, "GET", "/v1/x")
    assert status == 201
    event = json.loads(body)
    assert (event["rawPath"], event["stageVariables"]) == ("/v1/x", {"colour": "red"})
    for path in ("/x", "/v1/y", "/v2/x"):
        assert call(endpoint, "GET", path)[0::2] == (404, b'{"message": "Not Found"}')
    assert call(endpoint, "POST", "/v1/x")[0] == 404
    emulator.client("lambda").remove_permission(FunctionName="named", StatementId="api")
    assert call(endpoint, "GET", "/v1/x")[0] == 500
    eventually(lambda: "does not allow" in (emulator.root / "logs" / "cloud.log").read_text())


def test_requests_over_the_stage_limit_are_throttled(emulator: Emulator) -> None:
    settings = {"ThrottlingRateLimit": 0.1, "ThrottlingBurstLimit": 3}
    endpoint = make_api(emulator, "busy", ("$default",), DefaultRouteSettings=settings)
    found = [call(endpoint, "GET", "/plain") for _ in range(5)]
    assert [status for status, _, _ in found] == [200, 200, 200, 429, 429]
    assert json.loads(found[-1][2]) == {"message": "Too Many Requests"}


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/a/b", "GET /a/b"),
        ("GET", "/a/c", "GET /a/{x}"),
        ("POST", "/a/b", "ANY /a/b"),
        ("GET", "/a/b/c", "GET /a/{rest+}"),
        ("PUT", "/a/b/c", "$default"),
        ("GET", "/", "$default"),
        ("GET", "/A/b", "$default"),
    ],
)
def test_most_specific_route_matches(method: str, path: str, key: str) -> None:
    keys = ("$default", "GET /a/{rest+}", "GET /a/{x}", "ANY /a/b", "GET /a/b")
    matched = match_route([FakeRoute(key) for key in keys], method, path)
    assert matched is not None
    assert matched.route.route_key == key


def test_no_route_matches_without_default_route() -> None:
    assert match_route([FakeRoute("GET /a")], "GET", "/b") is None


def test_stage_is_the_first_path_segment_or_the_default_stage() -> None:
    assert split_stage({"$default": 1, "v1": 2}, "/v1/a") == (2, "/a")
    assert split_stage({"$default": 1, "v1": 2}, "/v2/a") == (1, "/v2/a")
    assert split_stage({"v1": 2}, "/a") == (None, "/a")
