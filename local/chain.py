"""Follow a prepared run through the event chain until the endpoint serves its model.

Events start every step. This module polls the services and reports the progress; its only action is the
manual approval in stages that require one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from local.aws import DeployedStage
from local.dead_letters import find_dead_letter
from local.errors import StepFailedError
from local.logs import group_log_lines, log_lines
from local.pipeline_progress import PipelineProgress
from local.timeline import Step, Timeline
from ml import contract
from ml.pipeline.execution import RunExecutions, find_executions

T = TypeVar("T")

POLL_S = 0.4
DEAD_LETTER_POLL_S = 2.0  # a look is one request per queue, far more than a poll of the run itself
EVENT_TIMEOUT_S = 180  # longer than any delivery of an event on a loaded machine
RUN_TIMEOUT_S = 1800  # longer than the time limits of the build and the rollout
DEPLOYMENT, DEPLOYED, ROLLED_BACK = "deployment", "Deployed", "RolledBack"  # package metadata of deploy_model


class Chain:
    """The steps of one run in a deployed stage."""

    def __init__(self, stage: DeployedStage, run_id: str, timeline: Timeline) -> None:
        self.stage = stage
        self.run_id = run_id
        self.timeline = timeline
        self._next_look_s = 0.0  # for dead letters, on the monotonic clock

    def follow(self) -> None:
        """Follow the run until the endpoint serves its model.

        Raises:
            StepFailedError: a step failed, or an event had no effect in time.
        """
        with self.timeline.step("render buildspec", "Lambda, on _SUCCESS"):
            self._wait(self._buildspec_exists, "render buildspec", EVENT_TIMEOUT_S)
        build = self.timeline.begin("build", "CodeBuild, on the buildspec")
        build_id = self._wait(self._find_build, "build", EVENT_TIMEOUT_S)
        try:
            self._follow_pipeline(build_id)
        except StepFailedError as error:
            if error.rejected:
                self._finish_build(build, build_id)
            raise
        self._finish_build(build, build_id)
        package_arn = self._step(contract.STEP_REGISTER)["Metadata"]["RegisterModel"]["Arn"]
        self._approve_if_required(package_arn)
        self._follow_rollout(package_arn)

    def evaluation(self) -> dict[str, Any]:
        """The evaluation report of the run's candidate."""
        arn = self._step(contract.STEP_EVALUATION)["Metadata"]["ProcessingJob"]["Arn"]
        sagemaker = self.stage.client("sagemaker")
        job = sagemaker.describe_processing_job(ProcessingJobName=arn.rsplit("/", 1)[-1])
        output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        bucket, _, prefix = output.removeprefix("s3://").partition("/")
        key = f"{prefix.rstrip('/')}/{contract.EVALUATION_FILE}"
        return json.load(self.stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"])

    # -- buildspec and build --------------------------------------------------------------------
    def _buildspec_exists(self) -> bool:
        key = contract.buildspec_key(self.run_id)
        try:
            self.stage.client("s3").head_object(Bucket=self.stage.outputs["artifacts_bucket"], Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def _find_build(self) -> str | None:
        codebuild = self.stage.client("codebuild")
        ids = codebuild.list_builds_for_project(projectName=self.stage.outputs["codebuild_project"])["ids"]
        builds = codebuild.batch_get_builds(ids=ids)["builds"] if ids else []
        key = contract.buildspec_key(self.run_id)
        found = [build for build in builds if build["source"].get("buildspec", "").endswith(key)]
        # The newest one: a run that is started again has several.
        return max(found, key=lambda build: build["startTime"])["id"] if found else None

    def _build(self, build_id: str) -> dict[str, Any]:
        return self.stage.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]

    def _finish_build(self, step: Step, build_id: str) -> None:
        build = self._wait(lambda: _if_ended(self._build(build_id)), "build", EVENT_TIMEOUT_S)
        if build["buildStatus"] != "SUCCEEDED":
            self.timeline.end(step, "failed")
            raise self._build_failed(build)
        self.timeline.end(step)

    def _build_failed(self, build: dict[str, Any]) -> StepFailedError:
        failed = [p for p in build.get("phases", []) if p.get("phaseStatus") == "FAILED"]
        contexts = [c["message"] for p in failed for c in p.get("contexts", []) if c.get("message")]
        reason = contexts[0] if contexts else f"the build ended {build['buildStatus']}"
        logs = build.get("logs", {})
        lines: list[str] = []
        if "streamName" in logs:
            lines = log_lines(self.stage.client("logs"), logs["groupName"], logs["streamName"])
        return StepFailedError("build", reason, lines)

    # -- pipeline -------------------------------------------------------------------------------
    def _executions(self) -> RunExecutions:
        name = self.stage.outputs["pipeline_name"]
        return find_executions(self.stage.client("sagemaker"), name, self.run_id)

    def _step(self, name: str) -> dict[str, Any]:
        sagemaker, arn = self.stage.client("sagemaker"), self._executions().newest_arn
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)
        return next(step for step in steps["PipelineExecutionSteps"] if step["StepName"] == name)

    def _follow_pipeline(self, build_id: str) -> None:
        def started() -> str | None:
            known = self._executions()
            build = _if_ended(self._build(build_id))
            if build is None:  # the newest execution may be an earlier one, after which the run starts again
                return known.current_arn
            if known.newest_arn is None:
                raise self._build_failed(build)
            return known.newest_arn

        arn = self._wait(started, "build", RUN_TIMEOUT_S)
        progress = PipelineProgress(self.stage.client("sagemaker"), self.stage.client("logs"), self.timeline)
        progress.follow(arn, timeout_s=RUN_TIMEOUT_S, sleep=self._pause)

    def _pause(self, pause_s: float) -> None:
        self._raise_dead_letter("pipeline")
        time.sleep(min(pause_s, POLL_S))

    # -- rollout --------------------------------------------------------------------------------
    def _approve_if_required(self, package_arn: str) -> None:
        sagemaker = self.stage.client("sagemaker")
        package = sagemaker.describe_model_package(ModelPackageName=package_arn)
        if package["ModelApprovalStatus"] == "PendingManualApproval":
            with self.timeline.step("approve", "manual in this stage; done by this command"):
                sagemaker.update_model_package(ModelPackageArn=package_arn, ModelApprovalStatus="Approved")

    def _follow_rollout(self, package_arn: str) -> None:
        name = self.stage.outputs["endpoint_name"]
        sagemaker = self.stage.client("sagemaker")

        def outcome() -> str | None:
            package = sagemaker.describe_model_package(ModelPackageName=package_arn)
            found = package.get("CustomerMetadataProperties", {}).get(DEPLOYMENT)
            return found if found in {DEPLOYED, ROLLED_BACK} else None

        with self.timeline.step("rollout", f"endpoint {name}"):
            if self._wait(outcome, "rollout", RUN_TIMEOUT_S) == ROLLED_BACK:
                endpoint = sagemaker.describe_endpoint(EndpointName=name)
                reason = endpoint.get("FailureReason", "the endpoint was rolled back to its previous model")
                group = self.stage.outputs["endpoint_log_group"]
                raise StepFailedError("rollout", reason, group_log_lines(self.stage.client("logs"), group))

    # -- polling --------------------------------------------------------------------------------
    def _wait(self, poll: Callable[[], T | None], step: str, timeout_s: float) -> T:
        """Call ``poll`` until it returns a true value, and return that value."""
        deadline = time.monotonic() + timeout_s
        while not (value := poll()):
            if time.monotonic() > deadline:
                raise StepFailedError(step, f"no progress within {timeout_s:g} s")
            self._raise_dead_letter(step)
            time.sleep(POLL_S)
        return value

    def _raise_dead_letter(self, step: str) -> None:
        """Fail if an event of the run could not be delivered, or a function failed to process it.

        Looks at most once per ``DEAD_LETTER_POLL_S``.
        """
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + DEAD_LETTER_POLL_S
        if letter := find_dead_letter(self.stage.client("sqs"), self.run_id):
            raise StepFailedError(step, f"an event of the run is in the dead-letter queue {letter}")


def _if_ended(build: dict[str, Any]) -> dict[str, Any] | None:
    return None if build["buildStatus"] == "IN_PROGRESS" else build
