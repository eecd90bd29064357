"""Lambda runtime: loads a function's handler in its process and calls it.

Standard library only: the function can import its package, its layers and the modules of AWS's runtime, and
nothing else. The protocol with the sandbox is one JSON document per line on a socket; standard output and
error are the function's log.

    python -S -P -u runtime.py SOCKET_FD HANDLER IMPORT_PATH...
"""

from __future__ import annotations

import importlib
import json
import logging
import socket
import sys
import time
import traceback
from collections.abc import Callable
from datetime import date
from types import TracebackType
from typing import Any

END_OF_LOG = "\x00end-of-invocation "


class LambdaContext:
    """The handler's second argument (Lambda developer guide, "Using the Lambda context object")."""

    identity = None
    client_context = None

    def __init__(self, message: dict[str, Any]) -> None:
        self.function_name = message["function_name"]
        self.function_version = message["function_version"]
        self.invoked_function_arn = message["invoked_function_arn"]
        self.memory_limit_in_mb = message["memory_limit_in_mb"]
        self.aws_request_id = message["request_id"]
        self.log_group_name = message["log_group_name"]
        self.log_stream_name = message["log_stream_name"]
        self._deadline_s = message["deadline_s"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout."""
        return max(0, int((self._deadline_s - time.time()) * 1000))


class HandlerError(Exception):
    """The handler cannot be loaded; ``kind`` is Lambda's errorType."""

    def __init__(self, kind: str, message: str, stack: list[str]) -> None:
        super().__init__(message)
        self.kind = kind
        self.stack = stack


class RequestIdFilter(logging.Filter):
    """Adds the request id to log records."""

    request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        record.aws_request_id = self.request_id
        return True


def load(handler: str) -> Callable[[Any, LambdaContext], Any]:
    """Import the handler ``module.path.name``.

    Raises:
        HandlerError: with Lambda's error type and message.
    """
    module_name, _, name = handler.replace("/", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        reason = f"Unable to import module '{module_name}': {error}"
        raise HandlerError("Runtime.ImportModuleError", reason, []) from error
    except SyntaxError as error:
        reason = f"Syntax error in module '{module_name}': {error}"
        raise HandlerError("Runtime.UserCodeSyntaxError", reason, []) from error
    except Exception as error:  # raised by the module's code: its type is the errorType
        raise HandlerError(type(error).__name__, str(error), _frames(error.__traceback__, skip=3)) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        reason = f"Handler '{name}' missing on module '{module_name}'"
        raise HandlerError("Runtime.HandlerNotFound", reason, []) from error


def call(handler: Callable[[Any, LambdaContext], Any], message: dict[str, Any]) -> dict[str, Any]:
    """Call the handler and return the reply to the sandbox."""
    try:
        result = handler(json.loads(message["payload"]), LambdaContext(message))
    except Exception as error:
        return {
            "error": {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "requestId": message["request_id"],
                "stackTrace": _frames(error.__traceback__, skip=1),
            }
        }
    try:
        return {"payload": json.dumps(result, default=_encode)}
    except (TypeError, ValueError) as error:
        return {
            "error": {
                "errorMessage": f"Unable to marshal response: {error}",
                "errorType": "Runtime.MarshalError",
                "requestId": message["request_id"],
                "stackTrace": [],
            }
        }


def _encode(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _frames(trace: TracebackType | None, skip: int) -> list[str]:
    frames = traceback.extract_tb(trace)[skip:]
    return [line for frame in frames for line in traceback.format_list([frame])]


def _set_up_logging() -> RequestIdFilter:
    """Install the root log handler of AWS's runtime: plain text, UTC, request id."""
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(aws_request_id)s\t%(message)s"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    request_ids = RequestIdFilter()
    handler.addFilter(request_ids)
    logging.getLogger().addHandler(handler)
    return request_ids


def main(argv: list[str]) -> int:
    """Load the handler, then serve invocations until the socket closes."""
    fd, handler_name, *paths = argv
    channel = socket.socket(fileno=int(fd))
    requests = channel.makefile("r", encoding="utf-8")
    sys.path[:0] = paths
    request_ids = _set_up_logging()

    def reply(message: dict[str, Any]) -> None:
        channel.sendall((json.dumps(message) + "\n").encode())

    try:
        handler = load(handler_name)
    except HandlerError as error:
        print(f"[ERROR] {error.kind}: {error}", *error.stack, sep="\n", flush=True)
        failure = {
            "errorMessage": str(error),
            "errorType": error.kind,
            "requestId": "",
            "stackTrace": error.stack,
        }
        reply({"init_error": failure})
        return 1
    reply({"ready": True})
    for line in requests:
        message = json.loads(line)
        request_ids.request_id = message["request_id"]
        outcome = call(handler, message)
        if problem := outcome.get("error"):
            stack = "".join(problem["stackTrace"])
            print(f"[ERROR] {problem['errorType']}: {problem['errorMessage']}")
            print(f"Traceback (most recent call last):\n{stack}", end="")
        sys.stderr.flush()
        print(f"{END_OF_LOG}{message['request_id']}", flush=True)
        reply(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
