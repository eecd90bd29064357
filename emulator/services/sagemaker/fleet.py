"""The processes that serve one endpoint configuration: a child for each production variant."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from emulator.http import listen
from emulator.processes import Child
from emulator.services.sagemaker import inference_server
from emulator.services.sagemaker.site import Site, not_emulated
from emulator.services.sagemaker.storage import Storage, StorageError, unpack
from emulator.services.sagemaker.tree import ContainerTree

HOST = "127.0.0.1"
LOG_GROUP = "/aws/sagemaker/Endpoints/{}"
STARTUP_S = 120.0  # a container that answers no ping by then has failed (SageMaker waits for longer)
PING_INTERVAL_S = 0.05
DRAIN_S = 60.0  # the longest that an invocation may take
MAX_CONNECTIONS = 32


class FleetError(Exception):
    """A fleet that did not come up; the message is the endpoint's FailureReason."""


@dataclass(frozen=True)
class VariantSpec:
    """What one production variant serves.

    Attributes:
        config: the variant as the endpoint configuration has it.
        image: the container image's name; only shown, never run.
        model_data: the S3 URI of model.tar.gz; empty for a model without one.
        environment: of the container.
    """

    config: Mapping[str, Any]
    image: str
    model_data: str
    environment: Mapping[str, str]

    @property
    def name(self) -> str:
        """The variant's name."""
        return str(self.config["VariantName"])

    def summary(self) -> dict[str, Any]:
        """The variant as DescribeEndpoint shows it."""
        count, weight = (
            self.config.get("InitialInstanceCount", 1),
            self.config.get("InitialVariantWeight", 1.0),
        )
        return {
            "VariantName": self.name,
            "DeployedImages": [{"SpecifiedImage": self.image, "ResolvedImage": self.image}],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
        }


def specs_of(site: Site, config_name: str) -> list[VariantSpec]:
    """What an endpoint configuration serves, as its models are now.

    Raises:
        ServiceError: no such configuration or model, or one that can't be served here.
    """
    variants = site.backend.describe_endpoint_config(config_name)["ProductionVariants"]
    return [_spec(site, variant) for variant in variants]


def _spec(site: Site, variant: Mapping[str, Any]) -> VariantSpec:
    if "ServerlessConfig" in variant:
        raise not_emulated(f"variant {variant['VariantName']}: serverless inference")
    model = site.backend.describe_model(variant["ModelName"])
    containers = [model.primary_container] if model.primary_container else model.containers
    if len(containers) != 1:
        raise not_emulated(
            f"model {variant['ModelName']}: an inference pipeline of {len(containers)} containers"
        )
    container, own = containers[0], containers[0].get("Environment") or {}
    if package_name := container.get("ModelPackageName"):
        package = site.backend.describe_model_package(package_name)
        container = package.inference_specification["Containers"][0]
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source and source.get("CompressionType", "None") != "Gzip":
        raise not_emulated(f"model {variant['ModelName']}: an uncompressed ModelDataSource")
    data = container.get("ModelDataUrl") or (source or {}).get("S3Uri", "")
    environment = {**(container.get("Environment") or {}), **own}  # a model's own overrides its package's
    return VariantSpec(variant, container.get("Image", ""), data, environment)


class Variant:
    """One production variant's process."""

    def __init__(self, site: Site, endpoint: str, spec: VariantSpec) -> None:
        self.spec = spec
        self._site = site
        self._endpoint = endpoint
        self._tree = ContainerTree(site.host.folder("endpoint", f"{endpoint}-{spec.name}"))
        self._instance = f"i-{random.getrandbits(68):017x}"
        self._child: Child | None = None
        self._http: urllib3.HTTPConnectionPool  # once started
        self.in_flight = 0  # guarded by the endpoint, whose traffic it is

    @property
    def log_stream(self) -> str:
        """``<variant>/<instance>``, as the service names it."""
        return f"{self.spec.name}/{self._instance}"

    def start(self) -> None:
        """Downloads and unpacks the model and starts the server.

        Raises:
            FleetError: the model can't be had.
        """
        model = self._tree.folder("/opt/ml/model")
        try:
            if self.spec.model_data:
                archive = self._tree.root / "model.tar.gz"
                Storage(self._site.client("s3")).download_file(self.spec.model_data, archive)
                unpack(archive, model)
        except StorageError as error:
            raise FleetError(f"Failed to download model data for the container: {error}") from error
        with listen(HOST, 0) as listener:
            self._child = self._start_child(listener, model)
            port = listener.getsockname()[1]
        self._http = urllib3.HTTPConnectionPool(HOST, port, maxsize=MAX_CONNECTIONS, retries=False)

    def _start_child(self, listener: socket.socket, model: Path) -> Child:
        script = str(Path(inference_server.__file__))
        environment = {"OMP_NUM_THREADS": "1", **self._tree.reroot_all(self.spec.environment)}
        group = LOG_GROUP.format(self._endpoint)
        return self._site.host.processes.start(
            [sys.executable, "-P", script, str(listener.fileno()), str(model)],
            cwd=self._tree.opt_ml,
            env=self._site.child_env(environment),
            on_line=lambda line: self._site.log(group, self.log_stream, line),
            pass_fds=[listener.fileno()],
        )

    def wait_until_healthy(self, deadline: float) -> None:
        """Returns when /ping answers 200.

        Raises:
            FleetError: the process has ended, or the deadline is past.
        """
        while time.monotonic() < deadline and self._running:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self._http.request("GET", "/ping", timeout=2.0).status == 200:
                    return
            time.sleep(PING_INTERVAL_S)
        raise FleetError(
            f"The primary container for production variant {self.spec.name} did not pass the ping health "
            "check. Please check CloudWatch logs for this endpoint."
        )

    def invoke(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> urllib3.BaseHTTPResponse:
        """One POST to /invocations. Raises urllib3's HTTPError when the container gives no answer."""
        return self._http.request("POST", "/invocations", body=body, headers=headers, timeout=timeout_s)

    def stop(self) -> None:
        """Lets the invocations under way end, then ends the process."""
        deadline = time.monotonic() + DRAIN_S
        while self.in_flight and self._running and time.monotonic() < deadline:
            time.sleep(PING_INTERVAL_S)
        if self._child is not None:
            self._child.stop()
            self._http.close()
        self._tree.close()

    @property
    def _running(self) -> bool:
        return self._child is not None and self._child.running


class Fleet:
    """Every variant of one endpoint configuration."""

    def __init__(self, site: Site, endpoint: str, config_name: str, specs: Sequence[VariantSpec]) -> None:
        self.config_name = config_name
        self.variants = {spec.name: Variant(site, endpoint, spec) for spec in specs}

    def start(self) -> None:
        """Starts every variant and waits until all are healthy.

        Raises:
            FleetError: one of them is not.
        """
        for variant in self.variants.values():
            variant.start()
        for variant in self.variants.values():
            limit = variant.spec.config.get("ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_S)
            variant.wait_until_healthy(time.monotonic() + min(limit, STARTUP_S))

    def stop(self) -> None:
        """Ends every variant."""
        for variant in self.variants.values():
            variant.stop()

    def pick(self, weights: Mapping[str, float]) -> Variant:
        """A variant, by chance and weight."""
        names = list(self.variants)
        chances = [weights.get(name, 1.0) for name in names]
        name = random.choices(names, chances)[0] if sum(chances) > 0 else names[0]  # noqa: S311 - no secret
        return self.variants[name]
