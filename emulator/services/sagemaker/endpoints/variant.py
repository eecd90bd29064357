"""Production variants: specification, and the child process that serves one variant."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from emulator.authorization.access import AccessDeniedError
from emulator.http import listen
from emulator.processes import Child
from emulator.region import Region
from emulator.services.sagemaker.container_files import ContainerFiles
from emulator.services.sagemaker.endpoints import inference_server
from emulator.services.sagemaker.errors import not_emulated
from emulator.services.sagemaker.execution_role import SESSION, ExecutionRole
from emulator.services.sagemaker.jobs.container import container_environment
from emulator.services.sagemaker.s3_files import S3Files, S3FilesError, unpack

HOST = "127.0.0.1"
LOG_GROUP = "/aws/sagemaker/Endpoints/{}"
PING_INTERVAL_S = 0.05
PING_TIMEOUT_S = 2.0
DRAIN_TIMEOUT_S = 60.0  # the longest invocation
MAX_CONNECTIONS = 32


class FleetStartError(Exception):
    """A fleet did not start; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class VariantSpec:
    """Specification of one production variant.

    Attributes:
        config: the variant in the endpoint configuration.
        image: name of the container image; shown by DescribeEndpoint, never run.
        model_data: S3 URI of model.tar.gz; empty for a model without one.
        environment: environment variables of the container.
        role_arn: execution role of the model.
        isolated: the container has no network, and no credentials.
    """

    config: Mapping[str, Any]
    image: str
    model_data: str
    environment: Mapping[str, str]
    role_arn: str
    isolated: bool

    @property
    def name(self) -> str:
        """Name of the variant."""
        return str(self.config["VariantName"])

    def summary(self) -> dict[str, Any]:
        """The variant's entry in DescribeEndpoint."""
        count = self.config.get("InitialInstanceCount", 1)
        weight = self.config.get("InitialVariantWeight", 1.0)
        return {
            "VariantName": self.name,
            "DeployedImages": [{"SpecifiedImage": self.image, "ResolvedImage": self.image}],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
        }


def variant_specs(region: Region, config_name: str) -> list[VariantSpec]:
    """Specifications of an endpoint configuration's variants.

    Raises:
        ServiceError: no such configuration or model, or one that the emulator cannot serve.
    """
    backend = region.backend("sagemaker")
    variants = backend.describe_endpoint_config(config_name)["ProductionVariants"]
    return [_variant_spec(backend, variant) for variant in variants]


def _variant_spec(backend: Any, variant: Mapping[str, Any]) -> VariantSpec:
    if "ServerlessConfig" in variant:
        raise not_emulated(f"variant {variant['VariantName']}: serverless inference")
    model = backend.describe_model(variant["ModelName"])
    containers = [model.primary_container] if model.primary_container else model.containers
    if len(containers) != 1:
        raise not_emulated(
            f"model {variant['ModelName']}: an inference pipeline of {len(containers)} containers"
        )
    container, model_environment = containers[0], containers[0].get("Environment") or {}
    if package_name := container.get("ModelPackageName"):
        package = backend.describe_model_package(package_name)
        container = package.inference_specification["Containers"][0]
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source and source.get("CompressionType", "None") != "Gzip":
        raise not_emulated(f"model {variant['ModelName']}: an uncompressed ModelDataSource")
    data = container.get("ModelDataUrl") or (source or {}).get("S3Uri", "")
    # The model's variables have precedence over those of the model package.
    environment = {**(container.get("Environment") or {}), **model_environment}
    return VariantSpec(
        variant,
        container.get("Image", ""),
        data,
        environment,
        model.execution_role_arn,
        bool(getattr(model, "enable_network_isolation", False)),
    )


class VariantServer:
    """Child process that serves one production variant.

    Attributes:
        in_flight: number of invocations being answered; changed by the endpoint, under its lock.
    """

    def __init__(self, region: Region, endpoint: str, config_name: str, spec: VariantSpec) -> None:
        self.spec = spec
        self.in_flight = 0
        # Of its metrics: CloudWatch has them with and without the endpoint configuration.
        variant = {"EndpointName": endpoint, "VariantName": spec.name}
        self.dimensions = (variant, {**variant, "EndpointConfigName": config_name})
        self._region = region
        self._endpoint = endpoint
        folder = region.host.folder("endpoint", f"{endpoint}-{spec.name}")
        self._files = ContainerFiles(folder, mounted=region.host.has_views)
        self._instance = f"i-{random.getrandbits(68):017x}"
        self._child: Child | None = None
        self._may_log = False
        self._http: urllib3.HTTPConnectionPool  # set by start

    @property
    def log_stream(self) -> str:
        """``<variant>/<instance id>``."""
        return f"{self.spec.name}/{self._instance}"

    def start(self) -> None:
        """Download and unpack the model, and start the server.

        Raises:
            FleetStartError: the model cannot be downloaded.
        """
        model = self._files.folder("/opt/ml/model")
        role = ExecutionRole(self._region, self.spec.role_arn)
        group = LOG_GROUP.format(self._endpoint)
        self._may_log = role.may_log(group, self.log_stream)
        role.publish_metrics(group)
        try:
            role.pull_image(self.spec.image)
            if self.spec.model_data:
                archive = self._files.root / "model.tar.gz"
                s3 = S3Files(self._region.role_client("s3", role.arn, SESSION))
                s3.download_file(self.spec.model_data, archive)
                unpack(archive, model)
        except S3FilesError as error:
            raise FleetStartError(f"Failed to download model data for the container: {error}") from error
        except AccessDeniedError as error:
            raise FleetStartError(f"The image of the container cannot be pulled: {error}") from error
        with listen(HOST, 0) as listener:
            self._child = self._start_child(listener)
            port = listener.getsockname()[1]
        self._http = urllib3.HTTPConnectionPool(HOST, port, maxsize=MAX_CONNECTIONS, retries=False)

    def _start_child(self, listener: socket.socket) -> Child:
        script = str(Path(inference_server.__file__))
        environment = self._files.reroot_all(self.spec.environment)
        group = LOG_GROUP.format(self._endpoint)
        model = self._files.seen_path("/opt/ml/model")
        role_arn = None if self.spec.isolated else self.spec.role_arn
        return self._files.start(
            self._region.host,
            [sys.executable, "-P", script, str(listener.fileno()), model],
            container_environment(self._region, environment, role_arn),
            on_line=lambda line: self._log(group, line),
            pass_fds=[listener.fileno()],
        )

    def _log(self, group: str, line: str) -> None:
        if self._may_log:
            self._region.log(group, self.log_stream, line)
        else:
            self._region.host.logs.write_line(group, self.log_stream, line)

    def wait_until_healthy(self, deadline: float) -> None:
        """Wait until /ping answers 200.

        Args:
            deadline: in seconds of ``time.monotonic``.

        Raises:
            FleetStartError: the process has ended, or the deadline has passed.
        """
        while time.monotonic() < deadline and self._running:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self._http.request("GET", "/ping", timeout=PING_TIMEOUT_S).status == 200:
                    return
            time.sleep(PING_INTERVAL_S)
        raise FleetStartError(
            f"The primary container for production variant {self.spec.name} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )

    def invoke(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> urllib3.BaseHTTPResponse:
        """POST /invocations.

        Raises:
            urllib3.exceptions.HTTPError: the server did not answer.
        """
        return self._http.request("POST", "/invocations", body=body, headers=headers, timeout=timeout_s)

    def stop(self) -> None:
        """Wait for the invocations in flight, then end the process."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self.in_flight and self._running and time.monotonic() < deadline:
            time.sleep(PING_INTERVAL_S)
        if self._child is not None:
            self._child.stop()
            self._http.close()
        self._files.close()

    @property
    def _running(self) -> bool:
        return self._child is not None and self._child.running
