"""State of a stage under fault injection, read from its services, and waiting for a state.

Only what has happened since `begin` is read: one stage serves hundreds of injections.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.chain.deliveries import FaultyDeliveries, RecordedQueue
from local.aws import DeployedStage
from local.chain import DEPLOYED, DEPLOYMENT, ROLLED_BACK
from ml import contract

POLL_S = 0.2
BUSY_POLL_S, QUIET_POLL_S = 1.0, 0.4  # each poll calls an API, and a run takes many seconds
QUIET_S = 1.0  # time without activity that counts as the end; longer than the delay of an event under load
N_NEWEST = 12  # executions, builds and packages; deploy_model looks at the newest ten packages
N_LOG_LINES = 60


class StageState:
    """Reads the state of a stage.

    Attributes:
        stage: clients and stack outputs of the stage.
        deliveries: deliveries of EventBridge.
        invocations: asynchronous invocations of functions.
        since: start of the current injection.
        settle_timeout_s: longest time that `settle` waits.
    """

    def __init__(
        self,
        stage: DeployedStage,
        deliveries: FaultyDeliveries,
        invocations: RecordedQueue,
        settle_timeout_s: float,
    ) -> None:
        self.stage = stage
        self.deliveries = deliveries
        self.invocations = invocations
        self.settle_timeout_s = settle_timeout_s
        self.since = datetime.now(UTC)
        self._known_builds: set[str] = set()
        self._running_builds: list[str] = []
        self._checks = [self._delivers, self._builds, self._executes, self._rolls_out]

    def begin(self) -> None:
        """Begin an injection: ignore earlier builds, deliveries, invocations and events."""
        self._known_builds.update(self._build_ids())
        self.deliveries.records.clear()
        self.invocations.records.clear()
        self.since = datetime.now(UTC) - timedelta(milliseconds=1)

    # -- services -------------------------------------------------------------------------------
    def builds(self) -> list[dict[str, Any]]:
        """Builds since `begin`, newest first."""
        ids = [each for each in self._build_ids() if each not in self._known_builds]
        return self._describe(ids) if ids else []

    def _describe(self, build_ids: list[str]) -> list[dict[str, Any]]:
        return list(self.stage.client("codebuild").batch_get_builds(ids=build_ids)["builds"])

    def _build_ids(self) -> list[str]:
        codebuild, project = self.stage.client("codebuild"), self.stage.outputs["codebuild_project"]
        return list(codebuild.list_builds_for_project(projectName=project)["ids"])[:N_NEWEST]

    def executions(self) -> list[dict[str, Any]]:
        """Executions of the pipeline since `begin`, newest first."""
        sagemaker, name = self.stage.client("sagemaker"), self.stage.outputs["pipeline_name"]
        try:
            found = sagemaker.list_pipeline_executions(
                PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=N_NEWEST
            )
        except sagemaker.exceptions.ResourceNotFound:
            return []
        return [each for each in found["PipelineExecutionSummaries"] if each["StartTime"] >= self.since]

    def end_of(self, execution: Mapping[str, Any]) -> datetime:
        """Time of an execution's last change of state."""
        arn = execution["PipelineExecutionArn"]
        found = self.stage.client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)
        modified: datetime = found["LastModifiedTime"]
        return modified

    def steps(self, execution: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Steps of an execution."""
        arn = execution["PipelineExecutionArn"]
        sagemaker = self.stage.client("sagemaker")
        return list(
            sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        )

    def packages(self, n: int = N_NEWEST) -> list[dict[str, Any]]:
        """The newest packages of the group, newest first."""
        sagemaker, group = self.stage.client("sagemaker"), self.stage.outputs["model_package_group"]
        found = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=n
        )
        arns = [each["ModelPackageArn"] for each in found["ModelPackageSummaryList"]]
        described = [sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns]
        return sorted(described, key=lambda package: -package["ModelPackageVersion"])

    def package_of(self, run_id: str) -> dict[str, Any] | None:
        """The newest package of a run among the newest packages."""
        return next((each for each in self.packages(5) if metadata(each).get("run_id") == run_id), None)

    def endpoint(self) -> dict[str, Any]:
        """DescribeEndpoint."""
        sagemaker = self.stage.client("sagemaker")
        return dict(sagemaker.describe_endpoint(EndpointName=self.stage.outputs["endpoint_name"]))

    def buildspecs(self) -> dict[str, datetime]:
        """Times at which buildspecs were written since `begin`, by run id."""
        bucket = self.stage.outputs["artifacts_bucket"]
        pages = self.stage.client("s3").get_paginator("list_objects_v2")
        objects = (
            each
            for page in pages.paginate(Bucket=bucket, Prefix=contract.BUILDSPECS_PREFIX)
            for each in page.get("Contents", [])
        )
        # S3 states whole seconds.
        since = self.since.replace(microsecond=0)
        return {
            Path(each["Key"]).stem: each["LastModified"] for each in objects if each["LastModified"] >= since
        }

    def is_deployed(self, run_id: str) -> bool:
        """Whether the run's model was deployed, now or before `begin`."""
        package = self.package_of(run_id)
        return package is not None and metadata(package).get(DEPLOYMENT) == DEPLOYED

    def is_rolled_back(self, run_id: str) -> bool:
        """Whether the run's model was rolled back."""
        package = self.package_of(run_id)
        return package is not None and metadata(package).get(DEPLOYMENT) == ROLLED_BACK

    def queue_labels(self) -> list[str]:
        """Labels of the dead-letter queues, such as `run-prepared`."""
        ending = "_dead_letter_queue_url"
        names = (name for name in self.stage.outputs if name.endswith(ending))
        return [name.removesuffix(ending).replace("_", "-") for name in names]

    # -- logs -----------------------------------------------------------------------------------
    def build_log(self, build: Mapping[str, Any]) -> list[str]:
        """Last lines of a build's log."""
        return self._lines(build["logs"]["groupName"], build["logs"]["streamName"])

    def function_log(self, name: str) -> list[str]:
        """Lines of a function's log since `begin`.

        Args:
            name: stack output with the log group, without its suffix `_log_group`.
        """
        pages = self.stage.client("logs").get_paginator("filter_log_events")
        start = int(self.since.timestamp() * 1000)
        found = pages.paginate(logGroupName=self.stage.outputs[f"{name}_log_group"], startTime=start)
        return [event["message"] for page in found for event in page["events"]]

    def _lines(self, group: str, stream: str) -> list[str]:
        events = self.stage.client("logs").get_log_events(
            logGroupName=group, logStreamName=stream, limit=N_LOG_LINES, startFromHead=False
        )["events"]
        return [event["message"].rstrip() for event in events]

    # -- waiting --------------------------------------------------------------------------------
    def is_busy(self) -> bool:
        """Whether a delivery, an invocation, a build, an execution or a rollout is in progress.

        The check that found activity last time runs first: it usually does again, with one call.
        """
        found = next((check for check in self._checks if check()), None)
        if found is not None:
            self._checks.sort(key=lambda check: check != found)
        return found is not None

    def _delivers(self) -> bool:
        return bool(self.undelivered())

    def undelivered(self) -> list[str]:
        """Labels of the deliveries and invocations without an outcome."""
        return [record.label for record in (*self.deliveries.pending, *self.invocations.pending)]

    def _builds(self) -> bool:
        if self._running_builds and self._in_progress(self._describe(self._running_builds)):
            return True
        self._running_builds = self._in_progress(self.builds())
        return bool(self._running_builds)

    @staticmethod
    def _in_progress(builds: Iterable[Mapping[str, Any]]) -> list[str]:
        return [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]

    def _executes(self) -> bool:
        return any(each["PipelineExecutionStatus"] in ("Executing", "Stopping") for each in self.executions())

    def _rolls_out(self) -> bool:
        return self.endpoint()["EndpointStatus"] not in ("InService", "Failed")

    def wait(self, look: Callable[[], Any], what: str, timeout_s: float | None = None) -> None:
        """Wait until `look` returns a true value.

        Raises:
            TimeoutError: it did not within the time.
        """
        limit_s = timeout_s or self.settle_timeout_s
        deadline = time.monotonic() + limit_s
        while not look():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {limit_s:g} s")
            time.sleep(POLL_S)

    def settle(self) -> None:
        """Wait until nothing has been in progress for `QUIET_S`.

        Raises:
            TimeoutError: something was in progress until `settle_timeout_s`.
        """
        start, quiet_since = time.monotonic(), None
        while True:
            now = time.monotonic()
            if self.is_busy():
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= QUIET_S:
                return
            if now - start > self.settle_timeout_s:
                raise TimeoutError(f"the chain did not come to rest within {self.settle_timeout_s:g} s")
            time.sleep(BUSY_POLL_S if quiet_since is None else QUIET_POLL_S)


def metadata(package: Mapping[str, Any]) -> Mapping[str, str]:
    """Customer metadata of a package."""
    return package.get("CustomerMetadataProperties", {})


def fields(line: str) -> Mapping[str, Any]:
    """A log line of a function, if it is JSON."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
