"""Follows one run through the event chain, from ``_SUCCESS`` to the model that the API serves.

It only looks: nothing here starts a step, so what it reports is what the events did. The one exception is the
approval that some stages ask a person for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from local.aws import DeployedStage
from local.errors import StepFailedError
from local.timeline import Status, Step, Timeline
from ml import contract

T = TypeVar("T")

POLL_S = 0.4
EVENT_TIMEOUT_S = 60  # an event that has not had its effect by then is lost
RUN_TIMEOUT_S = 1800  # a build with training; the services' own limits come first
LOG_LINES = 20

STEP_STATUSES: Mapping[str, Status] = {"Succeeded": "succeeded", "Failed": "failed", "Stopped": "failed"}
DEPLOYMENT, DEPLOYED, ROLLED_BACK = "deployment", "Deployed", "RolledBack"  # as deploy_model writes them
LOG_GROUPS = {"TrainingJob": "/aws/sagemaker/TrainingJobs", "ProcessingJob": "/aws/sagemaker/ProcessingJobs"}


class Chain:
    """One run on its way through a deployed stage."""

    def __init__(self, stage: DeployedStage, run_id: str, timeline: Timeline) -> None:
        self.stage = stage
        self.run_id = run_id
        self.timeline = timeline

    def follow(self) -> None:
        """Returns once the endpoint serves the run's model.

        Raises:
            StepFailedError: a step failed, or an event was lost.
        """
        with self.timeline.step("render buildspec", "Lambda, on _SUCCESS"):
            self._wait(self._buildspec_is_there, "render buildspec", EVENT_TIMEOUT_S)
        build = self.timeline.begin("build", "CodeBuild, on the buildspec")
        build_id = self._wait(self._find_build, "build", EVENT_TIMEOUT_S)
        self._follow_pipeline(build_id)
        self._finish_build(build, build_id)
        package_arn = self._step(contract.STEP_REGISTER)["Metadata"]["RegisterModel"]["Arn"]
        self._approve_if_asked(package_arn)
        self._follow_rollout(package_arn)

    def evaluation(self) -> dict[str, Any]:
        """What NCFEvaluation wrote about this run's candidate."""
        arn = self._step(contract.STEP_EVALUATION)["Metadata"]["ProcessingJob"]["Arn"]
        sagemaker = self.stage.client("sagemaker")
        job = sagemaker.describe_processing_job(ProcessingJobName=arn.rsplit("/", 1)[-1])
        output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        bucket, _, prefix = output.removeprefix("s3://").partition("/")
        key = f"{prefix.rstrip('/')}/{contract.EVALUATION_FILE}"
        return json.load(self.stage.client("s3").get_object(Bucket=bucket, Key=key)["Body"])

    # -- buildspec and build --------------------------------------------------------------------
    def _buildspec_is_there(self) -> bool:
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
        return next((b["id"] for b in builds if b["source"].get("buildspec", "").endswith(key)), None)

    def _build(self, build_id: str) -> dict[str, Any]:
        return self.stage.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]

    def _finish_build(self, step: Step, build_id: str) -> None:
        build = self._wait(lambda: _ended(self._build(build_id)), "build", EVENT_TIMEOUT_S)
        if build["buildStatus"] != "SUCCEEDED":
            self.timeline.end(step, "failed")
            raise self._build_failed(build)
        self.timeline.end(step)

    def _build_failed(self, build: dict[str, Any]) -> StepFailedError:
        failed = [p for p in build.get("phases", []) if p.get("phaseStatus") == "FAILED"]
        contexts = [c["message"] for p in failed for c in p.get("contexts", []) if c.get("message")]
        logs = build.get("logs", {})
        lines = self._last_lines(logs.get("groupName", ""), logs.get("streamName", ""))
        reason = contexts[0] if contexts else f"the build ended {build['buildStatus']}"
        return StepFailedError("build", reason, lines)

    # -- pipeline -------------------------------------------------------------------------------
    def _execution_arn(self) -> str | None:
        sagemaker = self.stage.client("sagemaker")
        try:
            found = sagemaker.list_pipeline_executions(PipelineName=self.stage.outputs["pipeline_name"])
        except ClientError as error:
            if error.response["Error"]["Code"] in {"ResourceNotFound", "ResourceNotFoundException"}:
                return None  # the first build has not upserted it yet
            raise
        for summary in found["PipelineExecutionSummaries"]:
            if self.run_id in summary.get("PipelineExecutionDisplayName", ""):
                return str(summary["PipelineExecutionArn"])
        return None

    def _pipeline_steps(self) -> list[dict[str, Any]]:
        sagemaker = self.stage.client("sagemaker")
        arn = self._execution_arn()
        steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
        return list(steps["PipelineExecutionSteps"])

    def _step(self, name: str) -> dict[str, Any]:
        return next(step for step in self._pipeline_steps() if step["StepName"] == name)

    def _follow_pipeline(self, build_id: str) -> None:
        def started() -> str | None:
            arn = self._execution_arn()
            build = self._build(build_id)
            if arn is None and _ended(build):
                raise self._build_failed(build)
            return arn

        arn = self._wait(started, "build", RUN_TIMEOUT_S)
        shown: dict[str, Step] = {}
        sagemaker = self.stage.client("sagemaker")
        for _ in self._ticks(RUN_TIMEOUT_S, "pipeline"):
            status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)[
                "PipelineExecutionStatus"
            ]
            steps = self._pipeline_steps()
            for step in steps:
                self._show(step, shown)
            if status == "Succeeded":
                return
            if status in {"Failed", "Stopped"}:
                raise self._pipeline_failed(steps, status)

    def _show(self, step: dict[str, Any], shown: dict[str, Step]) -> None:
        name, status = step["StepName"], STEP_STATUSES.get(step["StepStatus"])
        if name not in shown and (status or step["StepStatus"] == "Executing"):
            shown[name] = self.timeline.begin(name)
        if name not in shown or shown[name].status != "running":
            return
        if lines := self._step_log(step, LOG_LINES):
            shown[name].detail = _telling(lines)
        if status:
            seconds = (step["EndTime"] - step["StartTime"]).total_seconds()
            rejected = name == contract.STEP_REJECTED
            self.timeline.end(shown[name], "rejected" if rejected else status, seconds)

    def _pipeline_failed(self, steps: list[dict[str, Any]], status: str) -> StepFailedError:
        failed = [s for s in steps if s["StepStatus"] == "Failed"]
        if not failed:
            return StepFailedError("pipeline", f"the execution ended {status}")
        step = failed[0]
        reason = step.get("FailureReason", "no reason given")
        rejected = step["StepName"] == contract.STEP_REJECTED
        return StepFailedError(step["StepName"], reason, self._step_log(step, LOG_LINES), rejected)

    def _step_log(self, step: dict[str, Any], limit: int) -> list[str]:
        for kind, group in LOG_GROUPS.items():
            if arn := step.get("Metadata", {}).get(kind, {}).get("Arn"):
                return self._last_lines(group, arn.rsplit("/", 1)[-1], limit)
        return []

    # -- rollout --------------------------------------------------------------------------------
    def _approve_if_asked(self, package_arn: str) -> None:
        sagemaker = self.stage.client("sagemaker")
        package = sagemaker.describe_model_package(ModelPackageName=package_arn)
        if package["ModelApprovalStatus"] == "PendingManualApproval":
            with self.timeline.step("approve", "a person's part: here whoever started this"):
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
                reason = endpoint.get("FailureReason", "the endpoint went back to the model it had")
                raise StepFailedError("rollout", reason, self._last_lines(f"/aws/sagemaker/Endpoints/{name}"))

    # -- waiting --------------------------------------------------------------------------------
    def _wait(self, found: Callable[[], T | None], step: str, timeout_s: float) -> T:
        for _ in self._ticks(timeout_s, step):
            if value := found():
                return value
        raise AssertionError("ticks end by raising")

    def _ticks(self, timeout_s: float, step: str) -> Iterator[None]:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            yield
            self._look_for_dead_letters(step)
            time.sleep(POLL_S)
        raise StepFailedError(step, f"nothing happened for {timeout_s:g} s")

    def _look_for_dead_letters(self, step: str) -> None:
        """An event that could not be delivered, or a function that gave up, ends in a dead-letter queue."""
        sqs = self.stage.client("sqs")
        for url in sqs.list_queues().get("QueueUrls", []):
            got = sqs.receive_message(
                QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"], MaxNumberOfMessages=1
            )
            for message in got.get("Messages", []):
                if self.run_id in message["Body"]:
                    raise self._dead_letter(url, message, step)

    def _dead_letter(self, url: str, message: dict[str, Any], step: str) -> StepFailedError:
        attributes = {k: v.get("StringValue", "") for k, v in message.get("MessageAttributes", {}).items()}
        name = url.rsplit("/", 1)[-1]
        reason = attributes.get("ERROR_MESSAGE") or attributes.get("ErrorMessage") or "no reason given"
        return StepFailedError(step, f"the event is in the dead-letter queue {name}: {reason}")

    def _last_lines(self, group: str, stream_prefix: str = "", limit: int = LOG_LINES) -> list[str]:
        """The newest lines of a log group's streams with that prefix; none when there is no such log."""
        logs = self.stage.client("logs")
        try:
            streams = logs.describe_log_streams(
                logGroupName=group, **({"logStreamNamePrefix": stream_prefix} if stream_prefix else {})
            )["logStreams"]
            lines = [
                event["message"]
                for stream in streams
                for event in logs.get_log_events(
                    logGroupName=group,
                    logStreamName=stream["logStreamName"],
                    limit=limit,
                    startFromHead=False,
                )["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return lines[-limit:]


def _ended(build: dict[str, Any]) -> dict[str, Any] | None:
    return None if build["buildStatus"] == "IN_PROGRESS" else build


def _telling(lines: list[str]) -> str:
    """Of a job's newest lines the one to show: the model's metrics where there are some, else the last."""
    metrics = [line for line in lines if "HR@10=" in line]
    of_the_model = [line for line in metrics if line.startswith("model")]
    return (of_the_model or metrics or lines)[-1]
