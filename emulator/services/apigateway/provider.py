"""API Gateway: serves HTTP APIs at ``<url>/_aws/execute-api/<api id>``.

Signatures are not verified: routes with AWS_IAM accept unsigned requests.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from moto.apigatewayv2.models import Api

from emulator import moto_state
from emulator.authorization import policies
from emulator.host import Host
from emulator.moto_patches import MotoPatches
from emulator.provider import Forward, FunctionResult, InvokeFunction, Provider
from emulator.region import Region
from emulator.services.apigateway.access import TokenBucket, render_access_line
from emulator.services.apigateway.event import event_of, response_of
from emulator.services.apigateway.routes import Exchange, match_route, split_stage
from emulator.services.apigateway.stages import STAGE_PATH, Stages
from emulator.wire import Request, Response, Route, ServiceError

PREFIX = "/_aws/execute-api"
MAX_BODY_BYTES = 10 * 2**20  # API Gateway quotas, HTTP API payload
METRICS = "AWS/ApiGateway"  # API Gateway developer guide, "Monitor CloudWatch metrics for HTTP APIs"
OPEN_AUTHORIZATION = ("NONE", "AWS_IAM")
log = logging.getLogger("emulator.services.apigateway.provider")


class IntegrationError(Exception):
    """The integration failed; ``status`` is the HTTP status for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiGatewayProvider(Provider):
    """Serves HTTP APIs: routes, throttling, Lambda integrations and access logs."""

    def __init__(self, host: Host, forward: Forward, invoke_function: InvokeFunction) -> None:
        self._host = host
        self._stages = Stages(forward)
        self._invoke_function = invoke_function
        self._pool = ThreadPoolExecutor(64, thread_name_prefix="gateway")
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._patches = MotoPatches()
        # moto's endpoints are host names that do not resolve.
        self._patches.replace(Api, "__init__", self._make_init)

    def routes(self) -> list[Route]:
        """Every path of every API, and the operations on stages that moto does not have."""
        return [
            Route("*", rf"{PREFIX}/([^/]+)(/.*)?", self._answer),
            Route("*", r"/v2/tags/.+", self._stages.answer_tags, "apigateway"),
            Route("PATCH", STAGE_PATH, self._stages.update, "apigateway"),
        ]

    def close(self) -> None:
        """Stop the worker threads and undo the patch of moto's endpoints."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._patches.undo()

    def _make_init(self, original: Any) -> Any:
        def __init__(api: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - replaces Api.__init__
            original(api, *args, **kwargs)
            api.api_endpoint = f"{self._host.url}{PREFIX}/{api.api_id}"

        return __init__

    def _answer(self, request: Request, match: re.Match[str]) -> Response:
        api = self._find(match[1])
        path = match[2] or "/"
        stage, path = split_stage(api.stages, path) if api else (None, path)
        exchange = Exchange(request, api, stage, path, self._host.account_id)
        if stage is None:
            return _message(404, "Not Found", exchange)
        exchange.matched = match_route(list(api.routes.values()), request.method, path)
        started = time.perf_counter()
        response = self._respond(exchange)
        self._count(exchange, response.status, 1e3 * (time.perf_counter() - started))
        self._log_access(exchange, response)
        return response

    def _find(self, api_id: str) -> Any:
        for backend in moto_state.regional_backends("apigatewayv2").values():
            if api_id in backend.apis:
                return backend.apis[api_id]
        return None

    def _respond(self, exchange: Exchange) -> Response:
        if exchange.matched is None:
            return _message(404, "Not Found", exchange)
        if not self._take_token(exchange):
            return _message(429, "Too Many Requests", exchange)
        if len(exchange.request.body) > MAX_BODY_BYTES:
            return _message(413, "Request Entity Too Large", exchange)
        try:
            outcome = self._integrate(exchange, exchange.matched.route)
            return response_of(outcome.payload, exchange.request_id)
        except IntegrationError as error:
            exchange.integration_error = str(error)
            log.error("%s %s: %s", exchange.api.name, exchange.route_key, error)
            message = "Internal Server Error" if error.status == 500 else "Service Unavailable"
            return _message(error.status, message, exchange)

    def _integrate(self, exchange: Exchange, route: Any) -> FunctionResult:
        """Invoke the function of a route and return its result.

        Raises:
            IntegrationError: the integration is not supported, or the function is missing, not permitted,
                failed or timed out.
        """
        if (route.authorization_type or "NONE") not in OPEN_AUTHORIZATION:
            raise IntegrationError(500, f"the emulator has no {route.authorization_type} authorizers")
        integration = exchange.api.integrations.get((route.target or "").removeprefix("integrations/"))
        if integration is None or integration.integration_type != "AWS_PROXY":
            raise IntegrationError(500, "the emulator supports AWS_PROXY integrations only")
        if integration.payload_format_version != "2.0":
            raise IntegrationError(500, "the emulator supports payload format 2.0 only")
        function = self._function(integration.integration_uri)
        self._require_permission(exchange, function)
        started = time.perf_counter()
        future = self._pool.submit(self._invoke_function, function, json.dumps(event_of(exchange)))
        try:
            outcome = future.result(integration.timeout_in_millis / 1000)
        except FutureTimeoutError as error:
            waited = integration.timeout_in_millis / 1000
            raise IntegrationError(
                503, f"{function.function_name} did not respond within {waited:g} s"
            ) from error
        except ServiceError as error:
            raise IntegrationError(503 if error.status == 429 else 500, error.message) from error
        finally:
            exchange.integration_ms = 1e3 * (time.perf_counter() - started)
        if outcome.error:
            raise IntegrationError(500, f"{function.function_name}: {outcome.payload}")
        return outcome

    def _function(self, uri: str) -> Any:
        found = re.search(r"arn:[\w-]+:lambda:([\w-]+):\d+:function:[^/]+", uri or "")
        if found is None:
            raise IntegrationError(500, f"{uri!r} is not a Lambda function")
        try:
            return moto_state.backend("lambda", found[1]).get_function(found[0])
        except Exception as error:
            raise IntegrationError(500, f"{found[0]}: {error}") from error

    def _require_permission(self, exchange: Exchange, function: Any) -> None:
        api, stage = exchange.api, exchange.stage
        method, _, path = exchange.route_key.partition(" ")
        called = f"{method}{path}" if path else "$default"
        region = api.backend.region_name
        source = f"arn:aws:execute-api:{region}:{self._host.account_id}:{api.api_id}/{stage.name}/{called}"
        call = policies.Call(
            "lambda:InvokeFunction",
            function.function_arn,
            "apigateway.amazonaws.com",
            {"aws:SourceArn": source, "aws:SourceAccount": self._host.account_id},
        )
        if not policies.allows([{"Statement": function.policy.statements}], call):
            raise IntegrationError(
                500, f"the policy of {function.function_name} does not allow {source} to invoke it"
            )

    def _take_token(self, exchange: Exchange) -> bool:
        stage = exchange.stage
        route_settings = stage.route_settings.get(exchange.route_key, {})
        scope = exchange.route_key if "throttlingRateLimit" in route_settings else "*"
        settings = {**stage.default_route_settings, **route_settings}
        if "throttlingRateLimit" not in settings:
            return True
        rate, burst = settings["throttlingRateLimit"], settings.get("throttlingBurstLimit", 1)
        key = (exchange.api.api_id, stage.name, scope)
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            bucket = self._buckets[key] = TokenBucket(rate, burst)
        return bucket.take()

    def _count(self, exchange: Exchange, status: int, latency_ms: float) -> None:
        """Metrics of the API and of its stage."""
        region, api_id = Region(self._host, exchange.api.backend.region_name), exchange.api.api_id
        values = {"Count": 1.0, "4xx": float(400 <= status < 500), "5xx": float(status >= 500)}
        for dimensions in ({"ApiId": api_id}, {"ApiId": api_id, "Stage": exchange.stage.name}):
            region.metric(METRICS, dimensions, **values, Latency=latency_ms)

    def _log_access(self, exchange: Exchange, response: Response) -> None:
        settings = exchange.stage.access_log_settings
        if not settings:
            return
        text = render_access_line(settings["format"], exchange, response)
        group = settings["destinationArn"].split(":log-group:", 1)[1].removesuffix(":*")
        stream = hashlib.sha256(f"{exchange.api.api_id}/{exchange.stage.name}".encode()).hexdigest()[:32]
        Region(self._host, exchange.api.backend.region_name).log(group, stream, text)


def _message(status: int, message: str, exchange: Exchange) -> Response:
    """Error response of API Gateway itself."""
    headers = {"Content-Type": "application/json", "Apigw-Requestid": exchange.request_id}
    return Response(status, {"message": message}, headers)
