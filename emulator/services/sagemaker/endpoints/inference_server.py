"""Serving container: HTTP server that runs the inference script of a model artifact.

It runs as a child process and uses the standard library only. It behaves like the SageMaker inference toolkit
of the framework containers (sagemaker-inference-toolkit, ``transformer.py`` and ``errors.py``):

* the script is ``SAGEMAKER_PROGRAM`` (``inference.py``) in the artifact's ``code/``; its ``model_fn`` is
  called once, before ``/ping`` answers 200;
* a request goes through ``transform_fn``, or through ``input_fn``, ``predict_fn`` and ``output_fn``; each may
  take the context as an additional argument;
* JSON and CSV bodies are passed to ``input_fn`` as text, others as bytes;
* an exception derived from ``sagemaker_inference.errors.BaseInferenceToolkitError`` sets the status of the
  response, any other is 500; the body is the message and the traceback.

The toolkit's default handlers (TorchScript models, NumPy formats) are not implemented: the script must define
all functions.

The model answers one request at a time, as in a container with one worker, and ``/ping`` at any time.

    python -P inference_server.py LISTENING_SOCKET_FD MODEL_DIR
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

UTF8_TYPES = ("application/json", "text/csv")
DEFAULT_ACCEPT = "application/json"


class BaseInferenceToolkitError(Exception):
    """Raised by an inference script to set the HTTP status of its error."""

    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        self.status_code = status_code
        self.message = message
        self.phrase = phrase
        super().__init__(status_code, message, phrase)


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    """`BaseInferenceToolkitError` with default message and phrase."""

    def __init__(self, status_code: int, message: str | None = None, phrase: str | None = None) -> None:
        message = message or "Invalid Request"
        super().__init__(status_code, message, phrase or message)


class UnsupportedFormatError(Exception):
    """A content type that the default handlers do not support."""


def install_toolkit_errors() -> None:
    """Make ``sagemaker_inference.errors`` importable, as in the framework containers."""
    package = types.ModuleType("sagemaker_inference")
    errors = types.ModuleType("sagemaker_inference.errors")
    for error in (BaseInferenceToolkitError, GenericInferenceToolkitError, UnsupportedFormatError):
        setattr(errors, error.__name__, error)
    package.errors = errors  # type: ignore[attr-defined]  # modules have no such attribute
    sys.modules["sagemaker_inference"] = package
    sys.modules["sagemaker_inference.errors"] = errors


class Model:
    """Model of an artifact, loaded by the artifact's inference script."""

    def __init__(self, model_dir: str) -> None:
        script = self._import_script(Path(model_dir) / "code")
        self._context = types.SimpleNamespace(system_properties={"model_dir": model_dir, "gpu_id": None})
        self._transform = getattr(script, "transform_fn", None) or self._default_transform(script)
        self._model = self._call(script.model_fn, model_dir)
        self._lock = threading.Lock()

    @staticmethod
    def _import_script(code: Path) -> types.ModuleType:
        requirements = code / "requirements.txt"
        if requirements.exists():
            subprocess.run([sys.executable, "-m", "pip", "install", "-r", str(requirements)], check=True)
        sys.path.insert(0, str(code))
        program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
        return importlib.import_module(program.removesuffix(".py"))

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[int, bytes, str]:
        """(status, body, content type) of one invocation."""
        if not accept or accept == "*/*":
            accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", DEFAULT_ACCEPT)
        try:
            data: Any = body.decode() if content_type in UTF8_TYPES else body
            with self._lock:
                result = self._call(self._transform, self._model, data, content_type, accept)
        except Exception as error:  # as in the toolkit, every error becomes a response
            trace = traceback.format_exc()
            print(trace, flush=True)
            if not isinstance(error, BaseInferenceToolkitError):
                error = GenericInferenceToolkitError(500, str(error))
            return error.status_code, f"{error.message}\n{trace}".encode(), "text/plain"
        payload, kind = result if isinstance(result, tuple) else (result, accept)
        return 200, payload.encode() if isinstance(payload, str) else bytes(payload), kind

    def _default_transform(self, script: types.ModuleType) -> Callable[..., Any]:
        input_fn, predict_fn, output_fn = script.input_fn, script.predict_fn, script.output_fn

        def transform(model: Any, data: Any, content_type: str, accept: str) -> Any:
            prediction = self._call(predict_fn, self._call(input_fn, data, content_type), model)
            return self._call(output_fn, prediction, accept)

        return transform

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        n_parameters = len(inspect.signature(function).parameters)
        if n_parameters == len(arguments) + 1:
            arguments = (*arguments, self._context)
        elif n_parameters != len(arguments):
            raise TypeError(
                f"{function.__name__} takes {n_parameters} arguments but {len(arguments)} were given."
            )
        return function(*arguments)


class Handler(BaseHTTPRequestHandler):
    """GET /ping and POST /invocations."""

    protocol_version = "HTTP/1.1"  # keeps connections open; the emulator closes them
    disable_nagle_algorithm = True
    wbufsize = -1  # one write per response
    server: Server

    def do_GET(self) -> None:
        """/ping: 200 when the model is loaded, 503 before."""
        self._send(404 if self.path != "/ping" else 200 if self.server.model else 503, b"", "text/plain")

    def do_POST(self) -> None:
        """/invocations: answer of the model."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        model = self.server.model
        if self.path != "/invocations":
            self._send(404, b"", "text/plain")
        elif model is None:
            self._send(503, b"the model is loading", "text/plain")
        else:
            accept = self.headers.get("Accept", "")
            self._send(*model.answer(body, self.headers.get("Content-Type", ""), accept))

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Do nothing: the log contains the model's output only."""


class Server(ThreadingHTTPServer):
    """HTTP server on a listening socket inherited from the emulator."""

    daemon_threads = True

    def __init__(self, fd: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=fd)
        self.server_address = self.socket.getsockname()
        self.model: Model | None = None


def main() -> None:
    """Serve until SIGTERM; the exit status is 1 when the model cannot be loaded."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    install_toolkit_errors()
    server = Server(int(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.model = Model(sys.argv[2])
    threading.Event().wait()


if __name__ == "__main__":
    main()
