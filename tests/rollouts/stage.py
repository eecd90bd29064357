"""The dev stage on an emulator with short baking periods, and its packages of tiny models."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from emulator.app import PROVIDERS, Emulator
from emulator.services.sagemaker.provider import SageMakerProvider
from local.aws import DeployedStage
from local.deploy.project import load_stage
from local.timeline import Timeline
from local.up import deploy_stage
from ml import contract
from tests.polling import eventually
from tests.repository import ROOT
from tests.rollouts.models import archive

FIRST_RUN = datetime(2030, 1, 1, tzinfo=UTC)
MAX_BAKING_S = 20.0
WAIT_S = 90.0
IDLE_S = 2.0  # longer than a function takes from an event to its first line in the log
METRICS_S = 300.0  # longest time that an alarm of rollouts looks back
N_CLIENTS, PAUSE_S = 2, 0.04  # between requests: two clients stay below the API's rate of 50 per second
ENDPOINT = "ncf-dev"


@dataclass
class Clients:
    """Clients of the API, and what they were answered: status, strategy and model version."""

    url: str
    answers: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, user: str) -> None:
        session = requests.Session()
        while not self._stop.wait(PAUSE_S):
            response = session.get(f"{self.url}/recommendations/{user}", timeout=30)
            body = response.json()
            self.answers[response.status_code, body.get("strategy", ""), body.get("model_version", "")] += 1
            if not body.get("items"):
                self.failures.append(f"{response.status_code}: {response.text[:200]}")

    def stop(self) -> None:
        self._stop.set()

    def versions(self) -> set[str]:
        return {version for _, _, version in self.answers}


class RolloutStage:
    """A deployed stage, to whose endpoint packages are rolled out."""

    patience_s = WAIT_S

    def __init__(self, emulator: Emulator, stage: DeployedStage) -> None:
        self.emulator = emulator
        self.stage = stage
        self.sagemaker = stage.client("sagemaker")
        self._n_runs = 0

    @property
    def api_url(self) -> str:
        return str(self.stage.outputs["api_url"]).rstrip("/")

    def configure(self, function: str = "deploy-model", **variables: str) -> None:
        """Change variables of a function, as another stage configuration does."""
        functions = self.stage.client("lambda")
        (name,) = (
            each["FunctionName"]
            for page in functions.get_paginator("list_functions").paginate()
            for each in page["Functions"]
            if f"-{function}-" in each["FunctionName"]
        )
        found = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**found, **variables}}
        )

    def close_circuit(self) -> None:
        """Start the API's function anew: its circuit breaker is open for ten seconds after a bad model."""
        self.configure("recommend")

    def register(self, model: str | Callable[[str], bytes]) -> tuple[str, str]:
        """Register a package that waits for approval; returns its ARN and its run id.

        The metrics of earlier rollouts are over: on AWS, instances start for longer than alarms look back.

        Args:
            model: inference script, or the archive of a version.
        """
        self.emulator.host.metrics.advance(METRICS_S)
        self._n_runs += 1
        run_id = contract.run_id_of(FIRST_RUN + timedelta(days=self._n_runs))
        bucket = self.stage.outputs["artifacts_bucket"]
        key = f"{contract.MODELS_PREFIX}{run_id}/{contract.MODEL_ARCHIVE}"
        body = archive(run_id, model) if isinstance(model, str) else model(run_id)
        self.stage.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        container = {
            "Image": self._image(),
            "ModelDataUrl": f"s3://{bucket}/{key}",
            "Environment": contract.SERVING_ENVIRONMENT,
        }
        formats = {
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        }
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName=self.stage.outputs["model_package_group"],
            InferenceSpecification={"Containers": [container], **formats},
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"run_id": run_id},
        )["ModelPackageArn"]
        return arn, run_id

    def recommended(self, user: str) -> list[str]:
        """Items that the API recommends to a user."""
        return [item["item_id"] for item in self.answer(user)["items"]]

    def answer(self, user: str) -> dict[str, Any]:
        """The API's answer to one request of a user."""
        return dict(requests.get(f"{self.api_url}/recommendations/{user}", timeout=30).json())

    def review(self, arn: str, approval: str) -> None:
        """Approve or reject a package, as a person does."""
        self.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=approval)

    def deployment(self, arn: str) -> str | None:
        package = self.sagemaker.describe_model_package(ModelPackageName=arn)
        return package.get("CustomerMetadataProperties", {}).get("deployment")

    def wait_for(self, arn: str, deployment: str) -> None:
        """Wait for the outcome of a package's rollout, and until the endpoint has come to rest."""
        eventually(lambda: self.deployment(arn) == deployment, WAIT_S, f"{arn} is {deployment}")
        eventually(lambda: self.endpoint()["EndpointStatus"] == "InService", WAIT_S, "the endpoint rests")

    def endpoint(self) -> dict[str, Any]:
        return dict(self.sagemaker.describe_endpoint(EndpointName=ENDPOINT))

    def wait_for_status(self, status: str) -> None:
        eventually(lambda: self.endpoint()["EndpointStatus"] == status, WAIT_S, f"the endpoint is {status}")

    def log(self, function: str) -> list[dict[str, Any]]:
        """Structured lines of a function's log."""
        return [
            json.loads(line) for line in self._log_lines(self._log_group(function)) if line.startswith("{")
        ]

    def wait_until_idle(self, function: str = "deploy-model") -> None:
        """Wait until no invocation of a function has run for a while: one has the variables of its start."""
        group = self._log_group(function)
        seen: tuple[int, float] = (-1, 0.0)

        def is_idle() -> bool:
            nonlocal seen
            lines = self._log_lines(group)
            n_started, n_ended = (
                sum(line.startswith(f"{word} RequestId") for line in lines) for word in ("START", "END")
            )
            if n_started != n_ended or n_started != seen[0]:
                seen = (n_started, time.monotonic())
                return False
            return time.monotonic() - seen[1] >= IDLE_S

        eventually(is_idle, WAIT_S, f"{function} is idle")

    def _log_group(self, function: str) -> str:
        pages = self.stage.client("logs").get_paginator("describe_log_groups").paginate()
        names = [each["logGroupName"] for page in pages for each in page["logGroups"]]
        (group,) = (name for name in names if f"{function}-logs" in name)
        return group

    def container_log(self) -> list[str]:
        """Lines of the endpoint's containers."""
        return self._log_lines(self.stage.outputs["endpoint_log_group"])

    def _log_lines(self, group: str) -> list[str]:
        pages = self.stage.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    @contextmanager
    def clients(self, *users: str) -> Iterator[Clients]:
        """Clients that use the API during the block."""
        clients = Clients(self.api_url)
        names = users or tuple(f"u{n}" for n in range(N_CLIENTS))
        threads = [threading.Thread(target=clients.run, args=(user,), daemon=True) for user in names]
        for thread in threads:
            thread.start()
        try:
            yield clients
        finally:
            clients.stop()
            for thread in threads:
                thread.join()

    def _image(self) -> str:
        config = self.endpoint()["EndpointConfigName"]
        variants = self.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        model = self.sagemaker.describe_model(ModelName=variants[0]["ModelName"])
        container = model.get("PrimaryContainer") or model["Containers"][0]
        if package := container.get("ModelPackageName"):
            found = self.sagemaker.describe_model_package(ModelPackageName=package)
            container = found["InferenceSpecification"]["Containers"][0]
        return str(container["Image"])


@contextmanager
def rollout_stage(root: Path) -> Iterator[RolloutStage]:
    """Deploy the dev stage with its popular list; two instances serve, as autoscaling may have set."""
    providers = {
        **PROVIDERS,
        "sagemaker": lambda wiring: SageMakerProvider(
            wiring.host, wiring.forward, wiring.emit, max_baking_s=MAX_BAKING_S
        ),
    }
    config = load_stage("dev", ROOT)
    with Emulator(region=config.region, root=root, providers=providers).start() as emulator:
        with Timeline(Console(quiet=True)) as timeline:
            deployed = deploy_stage(config, emulator, timeline)
        stage = RolloutStage(emulator, deployed)
        items = [{"item_id": str(n), "score": 100 - n} for n in range(20)]
        document = {"schema_version": contract.SCHEMA_VERSION, "model_version": "popular", "items": items}
        deployed.client("s3").put_object(
            Bucket=deployed.outputs["artifacts_bucket"],
            Key=contract.FALLBACK_KEY,
            Body=json.dumps(document).encode(),
        )
        capacity = {"VariantName": contract.VARIANT_NAME, "DesiredInstanceCount": 2, "DesiredWeight": 1.0}
        stage.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[capacity]
        )
        eventually(lambda: stage.endpoint()["EndpointStatus"] == "InService", WAIT_S, "the endpoint rests")
        yield stage
