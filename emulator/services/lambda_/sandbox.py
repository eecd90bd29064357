"""Execution environment of a function: a process, initialised once and invoked many times."""

from __future__ import annotations

import base64
import json
import math
import socket
import sys
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulator.authorization.access import AccessDeniedError
from emulator.authorization.needs import Need
from emulator.authorization.s3_needs import key_arn
from emulator.authorization.service_needs import log_stream_arn
from emulator.region import Region
from emulator.services.lambda_ import runtime
from emulator.services.lambda_.package import FunctionFolders
from emulator.services.lambda_.runtime import END_OF_LOG
from emulator.services.lambda_.system import FunctionSystem
from emulator.wire import ServiceError

INIT_TIMEOUT_S = 10.0  # Lambda developer guide, "Execution environment lifecycle"
LOG_TAIL_BYTES = 4096  # Invoke: LogType Tail
LOG_DRAIN_S = 2.0


@dataclass(frozen=True)
class Invocation:
    """Input of one invocation."""

    payload: str
    arn: str
    request_id: str


@dataclass(frozen=True)
class Outcome:
    """Result of one invocation.

    Attributes:
        payload: the handler's result or the error document, as JSON.
        error: FunctionError (``Unhandled``), or empty.
        log_tail: the last 4 KiB of the log, base64.
    """

    payload: str
    error: str = ""
    log_tail: str = ""


class Sandbox:
    """Process with the function's package and environment."""

    def __init__(self, region: Region, function: Any, folders: FunctionFolders) -> None:
        self._region = region
        self._function = function
        self._lines: deque[str] = deque(maxlen=1000)
        self._drained = threading.Event()
        now = datetime.now(UTC)
        logging_config = function.extra.get("LoggingConfig") or {}
        self.log_group = logging_config.get("LogGroup") or f"/aws/lambda/{function.function_name}"
        self.log_stream = f"{now:%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._may_log = self._authorise()
        self._started = time.perf_counter()
        self._init_ms: float | None = None
        own_end, child_end = socket.socketpair()
        with child_end:
            system = FunctionSystem(region.host, function.function_name, folders)
            fd = str(child_end.fileno())
            self._child = system.start(
                [
                    sys.executable,
                    "-S",
                    "-P",
                    "-u",
                    runtime.__file__,
                    fd,
                    function.handler,
                    *system.import_path,
                ],
                self._environment(system),
                on_line=self._on_line,
                memory_mib=function.memory_size,
                pass_fds=[child_end.fileno()],
            )
        self._channel = own_end
        self._replies = own_end.makefile("r", encoding="utf-8")

    @property
    def alive(self) -> bool:
        """Whether the process can be invoked again."""
        return self._child.running

    def stop(self) -> None:
        """End the process."""
        self._child.stop(grace_s=0.5)
        self._replies.close()
        self._channel.close()

    def invoke(self, invocation: Invocation) -> Outcome:
        """Call the handler; end the process after an init error, a timeout or an exceeded memory limit."""
        timeout_s = float(self._function.timeout)
        init_error = self._initialise(max(INIT_TIMEOUT_S, timeout_s))
        self._lines.clear()
        self._drained.clear()
        self._log(f"START RequestId: {invocation.request_id} Version: {self._function.version}")
        started = time.perf_counter()
        if init_error:
            reply = {"error": init_error}
        else:
            reply = self._exchange(self._message(invocation, timeout_s), timeout_s)
        duration_ms = 1e3 * (time.perf_counter() - started)
        if not init_error and self.alive:
            self._drained.wait(LOG_DRAIN_S)
        self._report(invocation.request_id, duration_ms)
        if init_error or not self.alive:
            self.stop()
        error = reply.get("error")
        return Outcome(
            payload=json.dumps(error) if error else str(reply["payload"]),
            error="Unhandled" if error else "",
            log_tail=self._tail(),
        )

    def _initialise(self, timeout_s: float) -> dict[str, Any] | None:
        """Wait until the handler is loaded; return the error document if that fails."""
        if self._init_ms is not None:
            return None
        reply = self._exchange(None, timeout_s)
        self._init_ms = 1e3 * (time.perf_counter() - self._started)
        return reply.get("init_error") or reply.get("error")

    def _exchange(self, message: dict[str, Any] | None, timeout_s: float) -> dict[str, Any]:
        """Send a message and return the reply, or an error document if the process times out or ends."""
        request_id = message["request_id"] if message else ""
        try:
            self._channel.settimeout(timeout_s)
            if message:
                self._channel.sendall((json.dumps(message) + "\n").encode())
            line = self._replies.readline()
        except TimeoutError:
            return {"error": self._timed_out(request_id, timeout_s)}
        except OSError:
            line = ""
        return json.loads(line) if line else {"error": self._exited(request_id)}

    def _timed_out(self, request_id: str, timeout_s: float) -> dict[str, Any]:
        self._child.stop(0, because="timeout")
        reason = f"Task timed out after {timeout_s:.2f} seconds"
        self._log(f"{_iso_now()} {request_id} {reason}")
        return {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {request_id} Error: {reason}"}

    def _exited(self, request_id: str) -> dict[str, Any]:
        status = self._child.wait(LOG_DRAIN_S)
        how = "signal: killed" if status < 0 else f"exit status {status}"
        kind = "Runtime.OutOfMemory" if self._child.ended_by == "memory" else "Runtime.ExitError"
        self._log(f"RequestId: {request_id} Error: Runtime exited with error: {how}\n{kind}")
        return {
            "errorType": kind,
            "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: {how}",
        }

    def _message(self, invocation: Invocation, timeout_s: float) -> dict[str, Any]:
        return {
            "payload": invocation.payload,
            "request_id": invocation.request_id,
            "invoked_function_arn": invocation.arn,
            "function_name": self._function.function_name,
            "function_version": str(self._function.version),
            "memory_limit_in_mb": str(self._function.memory_size),
            "log_group_name": self.log_group,
            "log_stream_name": self.log_stream,
            "deadline_s": time.time() + timeout_s,
        }

    def _authorise(self) -> bool:
        """Authorise what Lambda does with the function's role; returns whether it may write the log.

        Raises:
            ServiceError: KMSAccessDeniedException, the role may not decrypt the environment.
        """
        function, region = self._function, self._region
        if function.environment_vars and function.kms_key_arn:
            context = {
                "kms:ViaService": f"lambda.{region.name}.amazonaws.com",
                "kms:EncryptionContext:aws:lambda:FunctionArn": function.function_arn,
            }
            need = Need("kms:Decrypt", key_arn(region.place(), function.kms_key_arn), context)
            try:
                region.host.access.require(function.role, need, region.name, function.function_name)
            except AccessDeniedError as error:
                reason = f"Lambda was unable to decrypt the environment variables: {error}"
                raise ServiceError("KMSAccessDeniedException", reason, 502) from error
        if function.tracing_config.get("Mode") == "Active":
            region.permits(function.role, Need("xray:PutTraceSegments"), Need("xray:PutTelemetryRecords"))
        stream = log_stream_arn(region.place(), self.log_group, self.log_stream)
        needs = [Need("logs:CreateLogStream", stream), Need("logs:PutLogEvents", stream)]
        if self.log_group not in region.backend("logs").groups:
            needs.insert(0, Need("logs:CreateLogGroup", log_stream_arn(region.place(), self.log_group)))
        return region.permits(function.role, *needs)

    def _environment(self, system: FunctionSystem) -> dict[str, str]:
        """Variables of Lambda (developer guide, "Defined runtime environment variables") and the function."""
        function = self._function
        return {
            **self._region.machine_env(),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": system.runtime,
            "LAMBDA_TASK_ROOT": system.task,
            "LAMBDA_RUNTIME_DIR": system.runtime,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "_HANDLER": function.handler,
            **self._region.function_env(function.role, function.function_name),
            **{name: str(value) for name, value in function.environment_vars.items()},
        }

    # -- log --------------------------------------------------------------------------------------
    def _on_line(self, line: str) -> None:
        if line.startswith(END_OF_LOG):
            self._drained.set()
        else:
            self._log(line)

    def _log(self, line: str) -> None:
        self._lines.append(line)
        if self._may_log:
            self._region.log(self.log_group, self.log_stream, line)
        else:
            self._region.host.logs.write_line(self.log_group, self.log_stream, line)

    def _report(self, request_id: str, duration_ms: float) -> None:
        self._child.measure()
        self._log(f"END RequestId: {request_id}")
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {duration_ms:.2f} ms",
            f"Billed Duration: {math.ceil(duration_ms)} ms",
            f"Memory Size: {self._function.memory_size} MB",
            f"Max Memory Used: {math.ceil(self._child.peak_memory_mib)} MB",
        ]
        if self._init_ms:
            parts.append(f"Init Duration: {self._init_ms:.2f} ms")
            self._init_ms = 0.0  # Init Duration is reported once
        self._log("\t".join(parts))

    def _tail(self) -> str:
        text = "\n".join(self._lines).encode()[-LOG_TAIL_BYTES:]
        return base64.b64encode(text).decode()


def _iso_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
