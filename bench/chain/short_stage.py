"""The dev stage with a shortened chain: tiny runs, and recorded steps (or real ones).

Everything else is the platform's own: functions, events, queues, build, pipeline, registry, rollout and API.
"""

from __future__ import annotations

import fcntl
import json
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from rich.console import Console

from bench.chain import preparation
from bench.chain.deliveries import FaultyDeliveries, RecordedQueue
from bench.chain.recorder import Recorder, load_seconds
from bench.chain.runs import GOOD, WORSE, run_files, train_sha256
from bench.chain.short_bundle import scaled, short_bundle
from bench.chain.stage_state import StageState
from bench.chain.throttled_emulator import ThrottledEmulator
from emulator.app import PROVIDERS
from emulator.services.events.provider import N_WORKERS, EventsProvider
from emulator.services.lambda_.asynchronous import N_WORKERS as N_INVOCATIONS
from emulator.services.lambda_.provider import LambdaProvider
from emulator.services.sagemaker.provider import SageMakerProvider
from local.aws import DeployedStage
from local.deploy.project import load_stage
from local.timeline import Timeline
from local.up import deploy_stage, publish_code
from ml import contract

ROOT = Path(__file__).resolve().parents[2]
STAGE = "dev"
FIRST_RUN = datetime(2030, 1, 1, tzinfo=UTC)
MAX_BAKING_S = 0.4
SETTLE_TIMEOUT_S = 120.0
FIRST_RUN_TIMEOUT_S = 240.0
CLIENT_POLL_S = 0.8
PERSON_S = 1.1
HYPERPARAMETERS = {"preset": "ease", "top_k": 10}


@dataclass
class ApiClient:
    """Requests recommendations until it is stopped; keeps what was wrong."""

    url: str
    failures: list[str] = field(default_factory=list)
    n_requests: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(CLIENT_POLL_S):
            self.n_requests += 1
            try:
                response = requests.get(f"{self.url}/recommendations/u1", timeout=30)
                items = response.json().get("items", ()) if response.ok else ()
                if not items:
                    self.failures.append(f"{response.status_code}: {response.text[:200]}")
            except (requests.RequestException, ValueError) as error:
                self.failures.append(repr(error))

    def stop(self) -> None:
        self._stop.set()


class ShortStage(StageState):
    """A deployed stage whose chain takes seconds.

    Attributes:
        emulator: with throttling.
        chain_s: seconds of the newest run without a fault.
        step_s: seconds of its programs (`bench.chain.processes`).
    """

    def __init__(
        self,
        emulator: ThrottledEmulator,
        stage: DeployedStage,
        deliveries: FaultyDeliveries,
        invocations: RecordedQueue,
    ) -> None:
        super().__init__(stage, deliveries, invocations, SETTLE_TIMEOUT_S)
        self.emulator = emulator
        self.chain_s = 3.0
        self.step_s: Mapping[str, float] = {}
        self._n_runs = 0
        self._files = run_files()

    def children(self) -> Collection[int]:
        """Process ids of the emulator's children."""
        return self.emulator.host.processes.pids

    # -- runs -----------------------------------------------------------------------------------
    def new_run_id(self) -> str:
        """A run id later than all others."""
        self._n_runs += 1
        return contract.run_id_of(FIRST_RUN + timedelta(days=self._n_runs))

    def write_run(
        self,
        run_id: str,
        model: str = GOOD,
        *,
        change: Callable[[dict[str, bytes]], None] = lambda _: None,
    ) -> None:
        """Write a prepared run, `_SUCCESS` last.

        Args:
            run_id: run id of the run.
            model: whose training data the run has, `GOOD` or `WORSE`.
            change: edits the files (content by name) before they are written.
        """
        files = self.files_of(run_id, model)
        change(files)
        preparation.write(
            self.stage.client("s3"), self.stage.outputs["data_bucket"], contract.run_prefix(run_id), files
        )

    def files_of(self, run_id: str, model: str = GOOD) -> dict[str, bytes]:
        """The files of a run, content by name."""
        content = self._files[model]
        return {name: each.replace(b"RUN_ID", run_id.encode()) for name, each in content.items()}

    def start_again(self, run_id: str) -> None:
        """Copy `_SUCCESS` onto itself, as the runbook starts a failed run again.

        A person takes longer than a second, the resolution of the times of events and of objects in S3:
        within it, render_buildspec takes the event for a repeated one.
        """
        time.sleep(PERSON_S)
        bucket, key = self.stage.outputs["data_bucket"], contract.run_prefix(run_id) + contract.SUCCESS_FILE
        self.stage.client("s3").copy_object(
            Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key}, MetadataDirective="REPLACE"
        )

    def train_sha256(self, model: str) -> str:
        """SHA-256 of the training split of a model's runs."""
        return train_sha256(self._files[model])

    @contextmanager
    def clients(self) -> Iterator[ApiClient]:
        """A client that uses the API during the block."""
        client = ApiClient(str(self.stage.outputs["api_url"]).rstrip("/"))
        thread = threading.Thread(target=client.run, daemon=True)
        thread.start()
        try:
            yield client
        finally:
            client.stop()
            thread.join()


@contextmanager
def short_stage(seed: int, recording: bytes | None = None, scale: float = 1.0) -> Iterator[ShortStage]:
    """Deploy the stage and serve the model of a first run.

    Args:
        seed: seed of the throttling.
        recording: recording of the steps; None: real steps.
        scale: scale of the recorded times.
    """
    with _deployed(seed) as stage:
        if recording is not None:
            _publish(stage, short_bundle(_bundle(stage), scaled(recording, scale)))
        first = stage.new_run_id()
        stage.write_run(first)
        stage.wait(lambda: stage.is_deployed(first), "the first run", FIRST_RUN_TIMEOUT_S)
        if recording is not None:
            _publish(stage, short_bundle(_bundle(stage), scaled(recording, scale), _definition(stage)))
        stage.settle()
        yield stage


def record(seed: int) -> bytes:
    """Record the steps of a stage (`bench.chain.recorder`)."""
    with _deployed(seed) as stage:
        recorder = Recorder(stage)
        loaded_s = 0.0
        for model, champion in ((GOOD, None), (GOOD, GOOD), (WORSE, GOOD)):
            run_id = stage.new_run_id()
            stage.write_run(run_id, model)
            if model == GOOD:
                loaded_s = load_seconds(stage, run_id, MAX_BAKING_S, FIRST_RUN_TIMEOUT_S)
            stage.settle()
            recorder.add(run_id, model, champion, stage.train_sha256(model))
            if champion is None:
                recorder.add_build(run_id)
        return recorder.finish(loaded_s)


@contextmanager
def _deployed(seed: int) -> Iterator[ShortStage]:
    """The stage with the product's code bundle, before its first run."""
    deliveries = FaultyDeliveries(N_WORKERS)
    invocations = RecordedQueue("lambda", N_INVOCATIONS)
    providers = {
        **PROVIDERS,
        "events": lambda wiring: EventsProvider(wiring.host, deliveries=deliveries),
        "lambda": lambda wiring: LambdaProvider(wiring.host, wiring.forward, queue=invocations),
        "sagemaker": lambda wiring: SageMakerProvider(
            wiring.host, wiring.forward, wiring.emit, max_baking_s=MAX_BAKING_S
        ),
    }
    config = load_stage(STAGE, ROOT)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        emulator = ThrottledEmulator(region=config.region, root=Path(folder), providers=providers)
        with emulator.start(0):
            emulator.generator.seed(seed)
            with Timeline(Console(quiet=True)) as timeline:
                stage = deploy_stage(config, emulator, timeline)
            with (Path(tempfile.gettempdir()) / "faults-publish.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # the bundle is built in one folder of the working tree
                publish_code(stage)
            _train_quickly(stage)
            yield ShortStage(emulator, stage, deliveries, invocations)


def _train_quickly(stage: DeployedStage) -> None:
    """Train EASE, a model in closed form, without floors; the gate compares with the champion."""
    codebuild, name = stage.client("codebuild"), stage.outputs["codebuild_project"]
    (project,) = codebuild.batch_get_projects(names=[name])["projects"]
    environment = project["environment"]
    for variable in environment["environmentVariables"]:
        if variable["name"] == contract.ENV_TRAINING:
            settings = json.loads(variable["value"])
            settings["hyperparameters"] = HYPERPARAMETERS
            settings["floors"] = dict.fromkeys(settings["floors"], 0.0)
            variable["value"] = json.dumps(settings)
    codebuild.update_project(name=name, environment=environment)


def _definition(stage: ShortStage) -> str:
    name = stage.stage.outputs["pipeline_name"]
    found = stage.stage.client("sagemaker").describe_pipeline(PipelineName=name)
    return str(found["PipelineDefinition"])


def _bundle(stage: ShortStage) -> bytes:
    """The first version of the code bundle: the product's."""
    s3, bucket = stage.stage.client("s3"), stage.stage.outputs["artifacts_bucket"]
    versions = s3.list_object_versions(Bucket=bucket, Prefix=contract.CODE_BUNDLE_KEY)["Versions"]
    of_bundle = [each for each in versions if each["Key"] == contract.CODE_BUNDLE_KEY]
    first = of_bundle[-1]["VersionId"]
    found = s3.get_object(Bucket=bucket, Key=contract.CODE_BUNDLE_KEY, VersionId=first)
    return bytes(found["Body"].read())


def _publish(stage: ShortStage, bundle: bytes) -> None:
    bucket = stage.stage.outputs["artifacts_bucket"]
    stage.stage.client("s3").put_object(Bucket=bucket, Key=contract.CODE_BUNDLE_KEY, Body=bundle)
