"""Two servers of a model artifact: SageMaker's serving stack, and the emulator's inference server."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from emulator.http import listen
from emulator.services.sagemaker.endpoints import inference_server
from ml import contract

HOST = "127.0.0.1"
ENTRYPOINT = Path(__file__).with_name("serving_stack_entrypoint.py")
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
REQUEST_TIMEOUT_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True)
class Answer:
    """Status, body and content type of an invocation."""

    status: int
    body: bytes
    content_type: str | None


@dataclass(frozen=True)
class Server:
    """HTTP server of a container: /ping and /invocations."""

    port: int
    log: Path

    def ping(self) -> int:
        """Status of the health check; 0 while nothing listens."""
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return urllib3.request(
                "GET", f"http://{HOST}:{self.port}/ping", timeout=REQUEST_TIMEOUT_S, retries=False
            ).status
        return 0

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        response = urllib3.request(
            "POST",
            f"http://{HOST}:{self.port}/invocations",
            body=body,
            headers=headers,
            timeout=REQUEST_TIMEOUT_S,
            retries=False,
        )
        return Answer(response.status, response.data, response.headers.get("Content-Type"))


@contextlib.contextmanager
def toolkit(
    python: Path, model: Path, folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`sagemaker-pytorch-inference` and TorchServe on an artifact, started as the image starts them.

    Args:
        python: interpreter of `.venv-container`.
        model: unpacked artifact; copied to ``model/`` of the base folder, in the image /opt/ml.
        folder: new folder for everything that the server writes.
        variables: variables of the container's environment, instead of or in addition to those of the image.
    """
    base, temp = folder / "opt/ml", folder / "tmp"
    shutil.copytree(model, base / "model")
    temp.mkdir()
    ports = free_ports(4)
    address = f"http://{HOST}:{ports[0]}"
    environment = {
        # bin/ first, as in the image: TorchServe starts its workers with the `python` and `java` of PATH.
        "PATH": os.pathsep.join((str(python.parent), os.environ["PATH"])),
        **{name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ},
        **rerooted(contract.SERVING_ENVIRONMENT, base),
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_BIND_TO_PORT": str(ports[0]),
        "TEMP": str(temp),
        "TMPDIR": str(temp),
        "HOME": str(temp),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Listen on the loopback interface only, and on ports that nothing else on this machine uses.
        "TS_INFERENCE_ADDRESS": address,
        "TS_MANAGEMENT_ADDRESS": address,
        "TS_METRICS_ADDRESS": f"http://{HOST}:{ports[1]}",
        "TS_GRPC_INFERENCE_PORT": str(ports[2]),
        "TS_GRPC_MANAGEMENT_PORT": str(ports[3]),
        **(variables or {}),
    }
    command = [str(python), str(ENTRYPOINT), str(folder / "sagemaker-ts.properties")]
    with running(command, environment, folder, ports[0]) as server:
        yield server


@contextlib.contextmanager
def emulated(model: Path, folder: Path) -> Iterator[Server]:
    """The emulator's inference server on an artifact."""
    shutil.copytree(model, folder / "opt/ml/model")
    environment = rerooted(contract.SERVING_ENVIRONMENT, folder / "opt/ml")
    with listen(HOST, 0) as listener:
        port = int(listener.getsockname()[1])
        command = [sys.executable, "-P", inference_server.__file__, str(listener.fileno())]
        with running(
            [*command, str(folder / "opt/ml/model")], environment, folder, port, pass_fds=[listener.fileno()]
        ) as server:
            yield server


@contextlib.contextmanager
def running(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    port: int,
    pass_fds: list[int] | None = None,
) -> Iterator[Server]:
    """The server of a process group, from its first healthy ping to the end of all its processes."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds or [],
        )
    server = Server(port, log)
    try:
        wait_until_healthy(server, process)
        yield server
    finally:
        stop(process)


def wait_until_healthy(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if server.ping() == 200:
            return
        time.sleep(POLL_S)
    raise AssertionError(f"the server did not become healthy:\n{server.log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the entrypoint, as SageMaker stops a container; SIGKILL to what is left of its group."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rerooted(environment: Mapping[str, str], base: Path) -> dict[str, str]:
    """The variables, with the folder that stands for /opt/ml."""
    return {name: value.replace("/opt/ml", str(base)) for name, value in environment.items()}


def free_ports(n: int) -> list[int]:
    """Free TCP ports of this machine, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
