"""The newest runs of a stage, from the services that carried them out."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from local.console.models import PackageView
from local.console.source import Source
from local.console.steps import (
    BUILD_STATUS,
    CLUSTER_STATUS,
    DEPLOYMENT_DETAIL,
    DEPLOYMENT_STATUS,
    PIPELINE_STATUS,
    Status,
    StepView,
)
from ml import contract
from ml.pipeline.execution import MISSING_PIPELINE, display_name

N_RUNS = 8
N_BUILDS = 100  # maximum of BatchGetBuilds
PREPARE, RENDER, BUILD, APPROVE, ROLLOUT = "prepare", "render buildspec", "build", "approve", "rollout"
# Steps of a pipeline execution, in order; NCFRejected replaces those after the gate.
PIPELINE_STEPS = (
    *(contract.STEP_TRAINING, contract.STEP_EVALUATION, contract.STEP_QUALITY_GATE),
    *(contract.STEP_REGISTER, contract.STEP_CREATE_MODEL, contract.STEP_DEPLOY),
)
AFTER_GATE = PIPELINE_STEPS[PIPELINE_STEPS.index(contract.STEP_QUALITY_GATE) + 1 :]


@dataclass(frozen=True)
class Observed:
    """State of all runs in each service, by run id."""

    prepared: Mapping[str, datetime]  # when _SUCCESS was written
    clusters: Mapping[str, dict[str, Any]]  # the newest EMR step
    buildspecs: Mapping[str, datetime]
    builds: Mapping[str, dict[str, Any]]  # the newest CodeBuild build
    executions: Mapping[str, dict[str, Any]]  # the newest pipeline execution
    packages: Mapping[str, PackageView]

    def run_ids(self) -> list[str]:
        """The newest runs that any service knows, newest first."""
        known = {*self.prepared, *self.clusters, *self.buildspecs, *self.builds, *self.executions}
        return sorted(known, reverse=True)[:N_RUNS]


class Runs:
    """Reads the runs; steps of executions that have ended are read once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ended: dict[str, list[dict[str, Any]]] = {}  # steps by execution ARN

    def newest(self, packages: Sequence[PackageView]) -> list[dict[str, Any]]:
        """The newest runs as JSON, newest first: `run_id`, `status` and `steps`."""
        observed = self._observe(packages)
        return [self._run(run_id, observed) for run_id in observed.run_ids()]

    def pipeline_steps(self, run_id: str) -> list[dict[str, Any]]:
        """Steps of a run's newest pipeline execution, as the service lists them; none without one."""
        execution = self._executions().get(run_id)
        return [] if execution is None else self._steps(execution)

    def cluster_step(self, run_id: str) -> dict[str, Any] | None:
        """The newest EMR step of a run."""
        return self._clusters().get(run_id)

    def build(self, run_id: str) -> dict[str, Any] | None:
        """The newest build of a run."""
        return self._builds().get(run_id)

    def _observe(self, packages: Sequence[PackageView]) -> Observed:
        oldest_first = sorted(packages, key=lambda package: package.version)
        return Observed(
            prepared=self._prepared(),
            clusters=self._clusters(),
            buildspecs=self._buildspecs(),
            builds=self._builds(),
            executions=self._executions(),
            packages={package.run_id: package for package in oldest_first},
        )

    def _run(self, run_id: str, observed: Observed) -> dict[str, Any]:
        execution = observed.executions.get(run_id)
        found = {} if execution is None else {each["StepName"]: each for each in self._steps(execution)}
        package = observed.packages.get(run_id)
        steps = [
            _preparation(run_id, observed),
            _written_step(RENDER, "Lambda", observed.buildspecs.get(run_id)),
            _build_step(observed.builds.get(run_id)),
            *_pipeline(found),
        ]
        if contract.STEP_REJECTED not in found:
            steps += [*_approval(package), _rollout(package)]
        return {
            "run_id": run_id,
            "status": overall_status(steps),
            "steps": [step.as_json() for step in steps],
        }

    # -- reading --------------------------------------------------------------------------------
    def _prepared(self) -> dict[str, datetime]:
        """Times at which `_SUCCESS` of the newest runs was written."""
        s3, bucket = self._source.client("s3"), self._source.outputs["data_bucket"]
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=contract.PREPARED_PREFIX, Delimiter="/"
        )
        prefixes = (each["Prefix"] for page in pages for each in page.get("CommonPrefixes", []))
        run_ids = sorted(filter(None, map(_run_id_in, prefixes)), reverse=True)[:N_RUNS]
        keys = {run_id: contract.run_prefix(run_id) + contract.SUCCESS_FILE for run_id in run_ids}
        found = {run_id: _modified(s3, bucket, key) for run_id, key in keys.items()}
        return {run_id: moment for run_id, moment in found.items() if moment is not None}

    def _buildspecs(self) -> dict[str, datetime]:
        """Times at which the buildspecs of runs were written."""
        pages = (
            self._source.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self._source.outputs["artifacts_bucket"], Prefix=contract.BUILDSPECS_PREFIX)
        )
        objects = (each for page in pages for each in page.get("Contents", []))
        return {run_id: each["LastModified"] for each in objects if (run_id := _run_id_in(each["Key"]))}

    def _clusters(self) -> dict[str, dict[str, Any]]:
        emr, name = self._source.client("emr"), self._source.outputs["preparation_job"]
        pages = emr.get_paginator("list_clusters").paginate()
        clusters = (each for page in pages for each in page["Clusters"] if each["Name"] == name)
        found: dict[str, dict[str, Any]] = {}
        for cluster in itertools.islice(clusters, N_RUNS):  # the service lists the newest first
            for step in emr.list_steps(ClusterId=cluster["Id"])["Steps"]:
                run_id = _run_id_of(step["Config"]["Args"])
                if run_id and run_id not in found:
                    found[run_id] = {**step, "ClusterId": cluster["Id"]}
        return found

    def _builds(self) -> dict[str, dict[str, Any]]:
        codebuild, project = self._source.client("codebuild"), self._source.outputs["codebuild_project"]
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"]
        builds = codebuild.batch_get_builds(ids=ids[:N_BUILDS])["builds"] if ids else []
        oldest_first = sorted(builds, key=lambda build: build["startTime"])
        return {
            run_id: build
            for build in oldest_first
            if (run_id := _run_id_in(build["source"].get("buildspec", "")))
        }

    def _executions(self) -> dict[str, dict[str, Any]]:
        pages = self._source.client("sagemaker").get_paginator("list_pipeline_executions")
        name = self._source.outputs["pipeline_name"]
        newest_first = pages.paginate(
            PipelineName=name,
            SortBy="CreationTime",
            SortOrder="Descending",
            PaginationConfig={"MaxItems": N_BUILDS},
        )
        found: dict[str, dict[str, Any]] = {}
        try:
            for summary in itertools.chain.from_iterable(
                page["PipelineExecutionSummaries"] for page in newest_first
            ):
                run_id = _run_id_in(summary.get("PipelineExecutionDisplayName", ""))
                if run_id and summary["PipelineExecutionDisplayName"] == display_name(run_id):
                    found.setdefault(run_id, summary)
        except ClientError as error:  # before the first build
            if error.response["Error"]["Code"] not in MISSING_PIPELINE:
                raise
        return found

    def _steps(self, execution: dict[str, Any]) -> list[dict[str, Any]]:
        arn = execution["PipelineExecutionArn"]
        if arn in self._ended:
            return self._ended[arn]
        pages = self._source.client("sagemaker").get_paginator("list_pipeline_execution_steps")
        steps = [
            step
            for page in pages.paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
            for step in page["PipelineExecutionSteps"]
        ]
        if execution["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
            self._ended[arn] = steps
        return steps


def overall_status(steps: Sequence[StepView]) -> str:
    """Status of a run: the first one that is not `succeeded`, a failure or a rejection before all others."""
    statuses = [step.status for step in steps]
    for decisive in ("failed", "rejected", "needs approval", "running"):
        if decisive in statuses:
            return decisive
    return "waiting" if "waiting" in statuses else "succeeded"


def _preparation(run_id: str, observed: Observed) -> StepView:
    step, written = observed.clusters.get(run_id), observed.prepared.get(run_id)
    if step is None:
        return _written_step(PREPARE, "EMR", written)
    times, state = step["Status"].get("Timeline", {}), step["Status"]["State"]
    details = step["Status"].get("FailureDetails", {})
    return StepView(
        PREPARE,
        "EMR",
        CLUSTER_STATUS.get(state, "running"),
        times.get("StartDateTime") or times.get("CreationDateTime"),
        times.get("EndDateTime"),
        details.get("Message") or details.get("Reason", ""),
    )


def _written_step(name: str, service: str, written: datetime | None) -> StepView:
    """A step of which only its output is known."""
    return StepView(name, service) if written is None else StepView(name, service, "succeeded", None, written)


def _build_step(build: dict[str, Any] | None) -> StepView:
    if build is None:
        return StepView(BUILD, "CodeBuild")
    status = BUILD_STATUS.get(build["buildStatus"], "failed")
    messages = (
        context["message"]
        for phase in build.get("phases", [])
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts", [])
        if context.get("message")
    )
    return StepView(BUILD, "CodeBuild", status, build["startTime"], build.get("endTime"), next(messages, ""))


def _pipeline(found: Mapping[str, dict[str, Any]]) -> Iterator[StepView]:
    rejected = contract.STEP_REJECTED in found
    for name in PIPELINE_STEPS:
        if not (rejected and name in AFTER_GATE):
            yield _pipeline_step(name, found.get(name))
    if rejected:
        step = _pipeline_step(contract.STEP_REJECTED, found[contract.STEP_REJECTED])
        status: Status = "rejected" if step.status == "succeeded" else step.status
        yield StepView(step.name, step.service, status, step.started, step.ended, step.detail)


def _pipeline_step(name: str, step: dict[str, Any] | None) -> StepView:
    if step is None:
        return StepView(name, "SageMaker")
    return StepView(
        name,
        "SageMaker",
        PIPELINE_STATUS.get(step["StepStatus"], "running"),
        step.get("StartTime"),
        step.get("EndTime"),
        step.get("FailureReason", ""),
    )


def _approval(package: PackageView | None) -> Iterator[StepView]:
    """The decision of a person, in stages where packages wait for it."""
    if package is None or package.approval == "Approved":
        return
    status: Status = "needs approval" if package.approval == "PendingManualApproval" else "rejected"
    yield StepView(APPROVE, "model registry", status, package.created)


def _rollout(package: PackageView | None) -> StepView:
    if package is None or not package.deployment:
        return StepView(ROLLOUT, "endpoint")
    status = DEPLOYMENT_STATUS.get(package.deployment, "running")
    return StepView(ROLLOUT, "endpoint", status, detail=DEPLOYMENT_DETAIL.get(package.deployment, ""))


def _run_id_of(arguments: Sequence[str]) -> str | None:
    """Run id that the preparation was given; EventBridge Scheduler gives it as ISO 8601."""
    given = dict(itertools.pairwise(arguments)).get("--run-id", "")
    with contextlib.suppress(ValueError):
        return contract.parse_run_id(given)
    return None


def _run_id_in(text: str) -> str | None:
    found = re.search(rf"(?<![0-9A-Za-z]){contract.RUN_ID_PATTERN.pattern}(?![0-9A-Za-z])", text)
    return found[0] if found else None


def _modified(s3: Any, bucket: str, key: str) -> datetime | None:
    try:
        return s3.head_object(Bucket=bucket, Key=key)["LastModified"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
