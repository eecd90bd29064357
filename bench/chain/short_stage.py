"""The dev stage with a shortened chain: tiny runs, and a pipeline definition that is compiled once.

Everything else is the platform's own: Lambda functions, build, training, evaluation, registry, rollout, API.
"""

from __future__ import annotations

import io
import json
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from bench.chain.deliveries import FaultyDeliveries, at_once
from bench.chain.throttled_emulator import ThrottledEmulator
from bench.prepared_runs import grouped_shop, write_run
from emulator.app import PROVIDERS
from emulator.services.events.provider import N_WORKERS, EventsProvider
from emulator.services.sagemaker.provider import SageMakerProvider
from local.aws import DeployedStage
from local.chain import DEPLOYED, DEPLOYMENT, ROLLED_BACK
from local.deploy.project import load_stage
from local.timeline import Timeline
from local.up import deploy_stage, publish_code
from ml import contract

ROOT = Path(__file__).resolve().parents[2]
STAGE = "dev"
N_USERS, N_ITEMS = 60, 40
FIRST_RUN = datetime(2030, 1, 1, tzinfo=UTC)
MAX_BAKING_S = 0.6
SETTLE_TIMEOUT_S = 240.0
QUIET_S = 1.0  # without anything in progress: longer than an event takes to start the next step
POLL_S = 0.2
# Modules that neither the build nor the jobs import.
LEFT_OUT = ("ml/preparation/", "ml/synthetic.py")
# Without the SageMaker SDK, whose import and compilation take several seconds.
RECORDED_DEFINITION = '''"""Pipeline definition, recorded."""
import json
def compile_definition(stage, session):
    return json.loads({definition!r})
'''
RECORDED_SESSION = '''"""No session is needed for a recorded definition."""
class DefinitionSession:
    def __init__(self, *arguments, **options):
        pass
'''
HYPERPARAMETERS = {"preset": "ease", "top_k": 10}


@dataclass
class ApiClient:
    """Requests recommendations until it is stopped; keeps what was wrong."""

    url: str
    failures: list[str] = field(default_factory=list)
    n_requests: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(POLL_S):
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


class ShortStage:
    """A deployed stage whose chain takes seconds.

    Attributes:
        emulator: with throttling.
        deliveries: of EventBridge, with faults.
        stage: its clients and stack outputs.
    """

    def __init__(
        self, emulator: ThrottledEmulator, deliveries: FaultyDeliveries, stage: DeployedStage
    ) -> None:
        self.emulator = emulator
        self.deliveries = deliveries
        self.stage = stage
        self._n_runs = 0
        self._files = _run_files()

    @property
    def api_url(self) -> str:
        return str(self.stage.outputs["api_url"]).rstrip("/")

    # -- runs -----------------------------------------------------------------------------------
    def new_run_id(self) -> str:
        """A run id later than all others."""
        self._n_runs += 1
        return contract.run_id_of(FIRST_RUN + timedelta(days=self._n_runs))

    def write_run(
        self,
        run_id: str,
        *,
        change: Callable[[dict[str, bytes]], None] = lambda _: None,
        n_files: int | None = None,
    ) -> None:
        """Write a prepared run, `_SUCCESS` last.

        Args:
            run_id: of the run.
            change: edits the files (content by name) before they are written.
            n_files: stop after so many files, as a preparation that was killed.
        """
        files = {name: content.replace(b"RUN_ID", run_id.encode()) for name, content in self._files.items()}
        change(files)
        names = sorted(files, key=lambda name: (name == contract.SUCCESS_FILE, name))
        s3, bucket = self.stage.client("s3"), self.stage.outputs["data_bucket"]
        for name in names[:n_files]:
            s3.put_object(Bucket=bucket, Key=contract.run_prefix(run_id) + name, Body=files[name])

    def start_again(self, run_id: str) -> None:
        """Copy `_SUCCESS` onto itself, as the runbook starts a failed run again."""
        bucket, key = self.stage.outputs["data_bucket"], contract.run_prefix(run_id) + contract.SUCCESS_FILE
        self.stage.client("s3").copy_object(
            Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key}, MetadataDirective="REPLACE"
        )

    def n_files(self) -> int:
        """Files of a run, `_SUCCESS` included."""
        return len(self._files)

    # -- state ----------------------------------------------------------------------------------
    def builds(self) -> list[dict[str, Any]]:
        """All builds, newest first."""
        codebuild, project = self.stage.client("codebuild"), self.stage.outputs["codebuild_project"]
        pages = codebuild.get_paginator("list_builds_for_project").paginate(projectName=project)
        ids = [each for page in pages for each in page["ids"]]
        batches = (ids[i : i + 100] for i in range(0, len(ids), 100))
        return [build for batch in batches for build in codebuild.batch_get_builds(ids=batch)["builds"]]

    def executions(self) -> list[dict[str, Any]]:
        """All executions of the pipeline, newest first."""
        pages = self.stage.client("sagemaker").get_paginator("list_pipeline_executions")
        name = self.stage.outputs["pipeline_name"]
        found = pages.paginate(PipelineName=name, SortBy="CreationTime", SortOrder="Descending")
        return [each for page in found for each in page["PipelineExecutionSummaries"]]

    def packages(self) -> list[dict[str, Any]]:
        """All packages of the group, newest first."""
        sagemaker, group = self.stage.client("sagemaker"), self.stage.outputs["model_package_group"]
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        arns = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        found = [sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns]
        return sorted(found, key=lambda package: -package["ModelPackageVersion"])

    def package_of(self, run_id: str) -> dict[str, Any] | None:
        """The newest package of a run."""
        found = (each for each in self.packages() if metadata(each).get("run_id") == run_id)
        return next(found, None)

    def endpoint(self) -> dict[str, Any]:
        """DescribeEndpoint."""
        sagemaker = self.stage.client("sagemaker")
        return dict(sagemaker.describe_endpoint(EndpointName=self.stage.outputs["endpoint_name"]))

    def buildspecs(self) -> dict[str, datetime]:
        """When each run's buildspec was written, by run id."""
        bucket = self.stage.outputs["artifacts_bucket"]
        pages = self.stage.client("s3").get_paginator("list_objects_v2")
        objects = (
            each
            for page in pages.paginate(Bucket=bucket, Prefix=contract.BUILDSPECS_PREFIX)
            for each in page.get("Contents", [])
        )
        return {Path(each["Key"]).stem: each["LastModified"] for each in objects}

    def is_deployed(self, run_id: str) -> bool:
        """Whether the run's model was deployed, then or earlier."""
        package = self.package_of(run_id)
        return package is not None and metadata(package).get(DEPLOYMENT) == DEPLOYED

    def is_rolled_back(self, run_id: str) -> bool:
        """Whether the run's model was rolled back."""
        package = self.package_of(run_id)
        return package is not None and metadata(package).get(DEPLOYMENT) == ROLLED_BACK

    def is_busy(self) -> bool:
        """Whether a delivery, a build, an execution or a rollout is in progress."""
        return (
            self.deliveries.n_pending > 0
            or any(build["buildStatus"] == "IN_PROGRESS" for build in self.builds())
            or any(each["PipelineExecutionStatus"] in ("Executing", "Stopping") for each in self.executions())
            or self.endpoint()["EndpointStatus"] not in ("InService", "Failed")
        )

    def wait(self, look: Callable[[], Any], what: str, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
        """Wait until `look` returns a true value.

        Raises:
            TimeoutError: it did not in time.
        """
        deadline = time.monotonic() + timeout_s
        while not look():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {timeout_s:g} s")
            time.sleep(POLL_S)

    def settle(self) -> None:
        """Wait until nothing has been in progress for a while."""
        quiet_since = time.monotonic()
        deadline = quiet_since + SETTLE_TIMEOUT_S
        while time.monotonic() - quiet_since < QUIET_S:
            if self.is_busy():
                quiet_since = time.monotonic()
            if quiet_since > deadline:
                raise TimeoutError(f"the chain did not come to rest within {SETTLE_TIMEOUT_S:g} s")
            time.sleep(POLL_S)

    @contextmanager
    def clients(self) -> Iterator[ApiClient]:
        """A client that uses the API during the block."""
        client = ApiClient(self.api_url)
        thread = threading.Thread(target=client.run, daemon=True)
        thread.start()
        try:
            yield client
        finally:
            client.stop()
            thread.join()


def metadata(package: Mapping[str, Any]) -> Mapping[str, str]:
    """Customer metadata of a package."""
    return package.get("CustomerMetadataProperties", {})


@contextmanager
def short_stage(seed: int) -> Iterator[ShortStage]:
    """Deploy the stage and serve the model of a first run."""
    deliveries = FaultyDeliveries(N_WORKERS)
    providers = {
        **PROVIDERS,
        "events": lambda wiring: EventsProvider(wiring.host, deliveries=deliveries),
        "sagemaker": lambda wiring: SageMakerProvider(
            wiring.host, wiring.forward, wiring.emit, max_baking_s=MAX_BAKING_S
        ),
    }
    config = load_stage(STAGE, ROOT)
    with ThrottledEmulator(region=config.region, providers=providers).start(0) as emulator:
        emulator.generator.seed(seed)
        with Timeline(Console(quiet=True)) as timeline:
            stage = deploy_stage(config, emulator, timeline)
        publish_code(stage)
        _train_quickly(stage)
        short = ShortStage(emulator, deliveries, stage)
        first = short.new_run_id()
        short.write_run(first)
        short.wait(lambda: short.is_deployed(first), "the first run")
        _publish_short_code(stage)
        short.settle()
        deliveries.fault = at_once
        deliveries.records.clear()
        yield short


def _run_files() -> dict[str, bytes]:
    """Files of a prepared run, with RUN_ID for its id."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", grouped_shop(N_USERS, N_ITEMS), N_USERS, N_ITEMS, "RUN_ID")
        files = (path for path in run.rglob("*") if path.is_file())
        return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def _train_quickly(stage: DeployedStage) -> None:
    """Train EASE, a model in closed form; any quality passes the gate."""
    codebuild, name = stage.client("codebuild"), stage.outputs["codebuild_project"]
    (project,) = codebuild.batch_get_projects(names=[name])["projects"]
    environment = project["environment"]
    for variable in environment["environmentVariables"]:
        if variable["name"] == contract.ENV_TRAINING:
            settings = json.loads(variable["value"])
            settings["hyperparameters"] = HYPERPARAMETERS
            for thresholds, value in (("floors", 0.0), ("tolerance", 1.0)):
                settings[thresholds] = dict.fromkeys(settings[thresholds], value)
            variable["value"] = json.dumps(settings)
    codebuild.update_project(name=name, environment=environment)


def _publish_short_code(stage: DeployedStage) -> None:
    """Publish the code bundle with the definition that the first build compiled."""
    sagemaker, s3 = stage.client("sagemaker"), stage.client("s3")
    pipeline = sagemaker.describe_pipeline(PipelineName=stage.outputs["pipeline_name"])
    bucket = stage.outputs["artifacts_bucket"]
    bundle = s3.get_object(Bucket=bucket, Key=contract.CODE_BUNDLE_KEY)["Body"].read()
    replaced = {
        "ml/pipeline/definition.py": RECORDED_DEFINITION.format(definition=pipeline["PipelineDefinition"]),
        "ml/pipeline/session.py": RECORDED_SESSION,
        "requirements/pipeline.txt": "# everything is installed\n",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as source, zipfile.ZipFile(buffer, "w") as short:
        for name in source.namelist():
            if not name.startswith(LEFT_OUT):
                short.writestr(name, replaced.get(name, source.read(name)))
    s3.put_object(Bucket=bucket, Key=contract.CODE_BUNDLE_KEY, Body=buffer.getvalue())
