"""Throttling and access log of a stage."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime

from emulator.services.apigateway.routes import Exchange
from emulator.wire import Response


class TokenBucket:
    """Token bucket: refilled with ``rate`` tokens per second up to ``burst``."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token; False if the bucket is empty."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self.burst, self._tokens + (now - self._filled) * self.rate)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


def render_access_line(form: str, exchange: Exchange, response: Response) -> str:
    """Render an access log format; unknown ``$context`` variables become ``-``."""
    request, api, error = exchange.request, exchange.api, exchange.integration_error
    moment = datetime.fromtimestamp(exchange.started, UTC)
    values = {
        "requestId": exchange.request_id,
        "extendedRequestId": exchange.request_id,
        "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": str(int(exchange.started)),
        "accountId": api.backend.account_id,
        "apiId": api.api_id,
        "stage": exchange.stage.name,
        "routeKey": exchange.route_key,
        "path": request.path,
        "httpMethod": request.method,
        "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        "domainName": request.headers.get("Host", ""),
        "identity.sourceIp": request.environ.get("REMOTE_ADDR", ""),
        "identity.userAgent": request.headers.get("User-Agent", ""),
        "status": str(response.status),
        "responseLength": str(len(response.encoded()[0])),
        "responseLatency": f"{1e3 * (time.perf_counter() - exchange.perf_counter_start):.0f}",
        "integrationErrorMessage": error,
        "integration.error": error,
    }
    if exchange.integration_ms is not None:
        values["integrationLatency"] = values["integration.latency"] = f"{exchange.integration_ms:.0f}"
        values["integration.status"] = values["integrationStatus"] = "500" if error else "200"
    return re.sub(r"\$context\.([A-Za-z.]+[A-Za-z])", lambda found: _escaped(values.get(found[1], "")), form)


def _escaped(value: str) -> str:
    """Escape a value for a quoted string of a JSON format; an empty value becomes ``-``."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") or "-"
