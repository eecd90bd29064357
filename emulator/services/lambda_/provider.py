"""Lambda: runs the functions that moto stores."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.core.exceptions import JsonRESTError

from emulator import moto_state
from emulator.delivery import DeliveryQueue, RetryPolicy
from emulator.host import Host
from emulator.moto_patches import MotoPatches
from emulator.provider import Forward, Provider
from emulator.region import Region
from emulator.services.lambda_ import asynchronous, models
from emulator.services.lambda_.package import Packages
from emulator.services.lambda_.sandbox import Invocation, Outcome, Sandbox
from emulator.wire import Request, Response, Route, ServiceError

MAX_SYNC_BYTES = 6 * 2**20  # Lambda quotas: invocation payload
MAX_ASYNC_BYTES = 2**20
MAX_SANDBOXES = 8  # per function; a limit of this machine, not of Lambda
WAIT_FOR_SANDBOX_S = 60.0
METRICS = "AWS/Lambda"  # Lambda developer guide, "Types of metrics for Lambda functions"


class LambdaProvider(Provider):
    """Runs functions for synchronous and asynchronous invocations.

    Args:
        queue: queue of the asynchronous invocations; for tests that record their outcomes.
    """

    def __init__(
        self,
        host: Host,
        forward: Forward,
        retry_policy: RetryPolicy = asynchronous.RETRY_POLICY,
        queue: DeliveryQueue | None = None,
    ) -> None:
        self._host = host
        self._forward = forward
        self._packages = Packages(host)
        self._lock = threading.Lock()
        self._pools: dict[str, SandboxPool] = {}
        self._async_invocations = asynchronous.AsyncInvocations(host, self.run, retry_policy, queue)
        self._patches = MotoPatches()
        models.patch(self._patches, self.invoke)

    def routes(self) -> list[Route]:
        """Invoke, and DeleteFunction, which ends sandboxes."""
        return [
            Route("POST", r"/2015-03-31/functions/([^/]+)/invocations/?", self._invoke, "lambda"),
            Route("DELETE", r"/2015-03-31/functions/([^/]+)/?", self._delete, "lambda"),
        ]

    def close(self) -> None:
        """Stop every sandbox, drop queued events and undo the patches of moto."""
        self._async_invocations.close()
        for pool in self._pools.values():
            pool.close()
        self._patches.undo()

    def run(self, function: Any, invocation: Invocation) -> Outcome:
        """Invoke a function and wait for the outcome.

        Raises:
            ServiceError: TooManyRequestsException, or the package cannot be run.
        """
        with self._lock:
            pool = self._pools.setdefault(function.function_arn, SandboxPool(self._host, self._packages))
        region, dimensions = Region(self._host, function.region), {"FunctionName": function.function_name}
        try:
            sandbox = pool.acquire(function)
        except ServiceError as error:
            if error.status == 429:
                region.metric(METRICS, dimensions, Throttles=1)
            raise
        started = time.perf_counter()
        try:
            outcome = _within_size(sandbox.invoke(invocation))
        finally:
            pool.release(sandbox)
        duration_ms = 1e3 * (time.perf_counter() - started)
        region.metric(
            METRICS, dimensions, Invocations=1, Errors=1 if outcome.error else 0, Duration=duration_ms
        )
        return outcome

    def invoke(self, function: Any, payload: str) -> Outcome:
        """Invoke a function for other services: API Gateway, and moto's S3, SNS and SQS.

        Raises:
            ServiceError: see `run`.
        """
        return self.run(function, Invocation(payload or "{}", function.function_arn, str(uuid.uuid4())))

    def _invoke(self, request: Request, match: re.Match[str]) -> Response:
        del match
        name = request.path.rstrip("/").split("/")[-2]
        qualifier = request.query.get("Qualifier")
        function = self._find(name, qualifier, request.region)
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        invocation = Invocation(
            payload=_checked_payload(request.body, asynchronous=kind == "Event"),
            arn=_invoked_arn(function, name, qualifier),
            request_id=str(uuid.uuid4()),
        )
        headers = {"x-amzn-RequestId": invocation.request_id, "X-Amz-Executed-Version": str(function.version)}
        if kind == "DryRun":
            return Response(204, b"", headers)
        if kind == "Event":
            self._async_invocations.submit(function, invocation)
            return Response(202, b"", headers)
        outcome = self.run(function, invocation)
        if outcome.error:
            headers["X-Amz-Function-Error"] = outcome.error
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = outcome.log_tail
        return Response(200, outcome.payload, {**headers, "Content-Type": "application/json"})

    def _delete(self, request: Request, match: re.Match[str]) -> Response:
        del match
        function = self._find(request.path.rstrip("/").rpartition("/")[2], None, request.region)
        response = self._forward(request)
        if response.status < 300 and "Qualifier" not in request.query:
            with self._lock:
                pool = self._pools.pop(function.function_arn, None)
            if pool is not None:
                pool.close()
        return response

    def _find(self, name: str, qualifier: str | None, region: str) -> Any:
        if re.fullmatch(r"\d{12}:function:.+", name):  # partial ARN
            name = name.split(":", 2)[2]
        try:
            return moto_state.backend("lambda", region).get_function(name, qualifier)
        except (LambdaClientError, JsonRESTError) as error:
            raise ServiceError("ResourceNotFoundException", str(error.message), 404) from error


class SandboxPool:
    """Sandboxes of one function, reused until its code or configuration changes."""

    def __init__(self, host: Host, packages: Packages) -> None:
        self._host = host
        self._packages = packages
        self._free = threading.Condition()
        self._idle: list[Sandbox] = []
        self._busy: dict[Sandbox, str] = {}
        self._starting = 0
        self._fingerprint = ""

    def acquire(self, function: Any) -> Sandbox:
        """Take a sandbox for one invocation; start one if none is idle.

        Raises:
            ServiceError: TooManyRequestsException, no concurrency is left.
        """
        reserved = function.reserved_concurrency
        deadline = time.monotonic() + WAIT_FOR_SANDBOX_S
        with self._free:
            self._renew(models.fingerprint(function))
            if reserved is not None and self._running() >= int(reserved):
                raise _throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            while not self._idle and self._running() >= MAX_SANDBOXES:
                if not self._free.wait(deadline - time.monotonic()) or self._host.closing:
                    raise _throttled("ConcurrentInvocationLimitExceeded")
            fingerprint = self._fingerprint
            if self._idle:
                sandbox = self._idle.pop()
                self._busy[sandbox] = fingerprint
                return sandbox
            self._starting += 1
        try:
            sandbox = Sandbox(Region(self._host, function.region), function, self._packages.folders(function))
        finally:
            with self._free:
                self._starting -= 1
        with self._free:
            self._busy[sandbox] = fingerprint
        return sandbox

    def release(self, sandbox: Sandbox) -> None:
        """Return a sandbox to the pool; stop it if its process has ended or it is out of date."""
        with self._free:
            current = self._busy.pop(sandbox) == self._fingerprint
            if current and sandbox.alive:
                self._idle.append(sandbox)
            self._free.notify()
        if not (current and sandbox.alive):
            sandbox.stop()

    def close(self) -> None:
        """End all sandboxes."""
        with self._free:
            for sandbox in [*self._idle, *self._busy]:
                sandbox.stop()
            self._idle = []
            self._free.notify_all()

    def _running(self) -> int:
        return len(self._busy) + self._starting

    def _renew(self, fingerprint: str) -> None:
        stale = [s for s in self._idle if fingerprint != self._fingerprint or not s.alive]
        self._idle = [s for s in self._idle if s not in stale]
        self._fingerprint = fingerprint
        for sandbox in stale:
            sandbox.stop()


def _throttled(reason: str) -> ServiceError:
    return ServiceError("TooManyRequestsException", f"Rate Exceeded. ({reason})", 429)


def _checked_payload(body: bytes, *, asynchronous: bool) -> str:
    limit = MAX_ASYNC_BYTES if asynchronous else MAX_SYNC_BYTES
    if len(body) > limit:
        raise ServiceError(
            "RequestTooLargeException",
            f"{len(body)} byte payload is too large for the {'Event' if asynchronous else 'RequestResponse'} "
            f"invocation type (limit {limit} bytes)",
            413,
        )
    try:
        text = body.decode() or "{}"
        json.loads(text)
    except ValueError as error:
        reason = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", reason) from error
    return text


def _invoked_arn(function: Any, name: str, qualifier: str | None) -> str:
    named = name.split(":")[7] if name.count(":") == 7 else ""
    used = qualifier or named
    return (
        f"{function.function_arn}:{used}" if used and not str(used).isdigit() else str(function.function_arn)
    )


def _within_size(outcome: Outcome) -> Outcome:
    if len(outcome.payload.encode()) <= MAX_SYNC_BYTES:
        return outcome
    error = {
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        f"({MAX_SYNC_BYTES} bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    return Outcome(json.dumps(error), "Unhandled", outcome.log_tail)
