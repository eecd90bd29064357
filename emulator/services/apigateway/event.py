"""Payload format 2.0: event from a request, response from a function's result.

API Gateway guide, "AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

from emulator.services.apigateway.routes import Exchange
from emulator.wire import Request, Response

TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")
HOP_HEADERS = ("connection", "keep-alive", "transfer-encoding", "upgrade", "te")
TEXT_SUFFIXES = ("+json", "+xml")


def event_of(exchange: Exchange) -> dict[str, Any]:
    """Event for the function; optional fields without a value are left out."""
    request, api, stage = exchange.request, exchange.api, exchange.stage
    decoded = request.path.split(f"/{api.api_id}", 1)[1] or "/"
    headers, cookies = _headers(request)
    moment = datetime.fromtimestamp(exchange.started, UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": exchange.route_key,
        "rawPath": decoded,
        "rawQueryString": request.environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": {
            "accountId": exchange.account_id,
            "apiId": api.api_id,
            "domainName": request.headers.get("Host", ""),
            "domainPrefix": api.api_id,
            "http": {
                "method": request.method,
                "path": decoded,
                "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": request.environ.get("REMOTE_ADDR", ""),
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": exchange.request_id,
            "routeKey": exchange.route_key,
            "stage": stage.name,
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(exchange.started * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = {
            name: ",".join(values) for name, values in request.query.to_dict(flat=False).items()
        }
    if exchange.matched and exchange.matched.parameters:
        event["pathParameters"] = exchange.matched.parameters
    if stage.stage_variables:
        event["stageVariables"] = stage.stage_variables
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return event


def response_of(payload: str, request_id: str) -> Response:
    """Response of a result; a result without a statusCode is the JSON body of a 200."""
    result = json.loads(payload)
    gateway_headers = [("Apigw-Requestid", request_id)]
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result if isinstance(result, str) else json.dumps(result)
        return Response(200, body, [("Content-Type", "application/json"), *gateway_headers])
    body = result.get("body") or ""
    if not isinstance(body, str):
        body = json.dumps(body)
    headers = [(name, str(value)) for name, value in (result.get("headers") or {}).items()]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain;charset=UTF-8"))
    headers += [("Set-Cookie", cookie) for cookie in result.get("cookies") or []]
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    return Response(int(result["statusCode"]), content, [*headers, *gateway_headers])


def _headers(request: Request) -> tuple[dict[str, str], list[str]]:
    """(headers, cookies): lower-case names, repeated values joined by commas."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        if key in HOP_HEADERS or (key == "content-length" and not request.body):
            continue
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    return headers, cookies


def _body(request: Request) -> tuple[str, bool]:
    """(body, whether it is base64); text is not encoded."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind.startswith(TEXT_TYPES) or kind.endswith(TEXT_SUFFIXES):
        with contextlib.suppress(UnicodeDecodeError):  # not text, despite its content type
            return request.body.decode(), False
    return base64.b64encode(request.body).decode(), True
