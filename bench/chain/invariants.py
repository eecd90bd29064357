"""Invariants of the event chain, checked after each fault when nothing is in progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import combinations
from typing import Any

from bench.chain.explanations import explanations
from bench.chain.kinds import Injected
from bench.chain.runs import WORSE
from bench.chain.short_stage import ApiClient, ShortStage
from bench.chain.stage_state import metadata
from local.chain import DEPLOYED, DEPLOYMENT, ROLLED_BACK
from ml import contract

# Executions that use up a run: it must not have two of them.
CURRENT = ("Executing", "Succeeded")


@dataclass(frozen=True)
class After:
    """A stage after an injection.

    Attributes:
        packages: the newest packages, newest first.
        executions: since the beginning of the injection.
        undelivered: events without an outcome when the wait for the chain ended. An event of a schedule that
            comes later is not of the injection.
        notifications: texts that a person got.
    """

    stage: ShortStage
    injected: Injected
    client: ApiClient
    packages: Sequence[Mapping[str, Any]]
    executions: Sequence[Mapping[str, Any]]
    notifications: Sequence[str]
    undelivered: Sequence[str]


def violations(after: After) -> list[str]:
    """The invariants that do not hold: name, and what was found."""
    return [f"{name}: {found}" for name, check in INVARIANTS.items() for found in check(after)]


def _api_answered(after: After) -> Iterator[str]:
    for failure in after.client.failures[:3]:
        yield f"the API did not answer with a list: {failure}"


def _one_execution_per_run(after: After) -> Iterator[str]:
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for each in after.executions:
        by_run.setdefault(each["PipelineExecutionDisplayName"], []).append(each)
    expected = {f"run-{run_id}" for run_id in after.injected.run_ids}
    for name, found in by_run.items():
        if name not in expected:
            yield f"{name} was started, but none of the injection's runs is called so"
        count = sum(each["PipelineExecutionStatus"] in CURRENT for each in found)
        if count > 1:
            yield f"{name} has {count} executions that succeeded or are in progress"
        for one, other in combinations(found, 2):
            earlier, later = sorted((one, other), key=lambda each: each["StartTime"])
            if later["StartTime"] < after.stage.end_of(earlier):
                yield f"{name}: an execution started while another one was in progress"
    packages = Counter(metadata(each).get("run_id") for each in after.packages)
    for run_id in after.injected.run_ids:
        if packages[run_id] > 1:
            yield f"run {run_id} has {packages[run_id]} packages"


def _champion_is_best(after: After) -> Iterator[str]:
    stage = after.stage
    endpoint = stage.endpoint()
    if endpoint["EndpointStatus"] != "InService":
        yield f"the endpoint is {endpoint['EndpointStatus']}: {endpoint.get('FailureReason', '')}"
    adopted = [
        package
        for package in after.packages
        if package["ModelApprovalStatus"] == "Approved" and metadata(package).get(DEPLOYMENT) != ROLLED_BACK
    ]
    if not adopted:
        yield "there is no champion"
        return
    champion = adopted[0]
    if metadata(champion).get("endpoint_config") != endpoint["EndpointConfigName"]:
        yield (
            f"the endpoint serves {endpoint['EndpointConfigName']}, but the champion is version "
            f"{champion['ModelPackageVersion']}: {dict(metadata(champion))}"
        )
    elif metadata(champion).get(DEPLOYMENT) != DEPLOYED:
        yield f"the champion is served, but its deployment is {metadata(champion).get(DEPLOYMENT)!r}"
    if WORSE in after.injected.detail and metadata(champion).get("run_id") in after.injected.run_ids:
        yield f"the worse model of run {metadata(champion)['run_id']} is the champion"
    newest = metadata(after.packages[0]).get("run_id")
    if after.injected.is_served and newest not in after.injected.run_ids:
        yield f"none of the runs {', '.join(after.injected.run_ids)} has the newest package, but {newest}"


def _every_event_has_an_outcome(after: After) -> Iterator[str]:
    for label in after.undelivered:
        yield f"{label} has no outcome"


def _no_partial_run(after: After) -> Iterator[str]:
    stage = after.stage
    s3, bucket = stage.stage.client("s3"), stage.stage.outputs["data_bucket"]
    for run_id, written in stage.buildspecs().items():
        key = contract.run_prefix(run_id) + contract.SUCCESS_FILE
        versions = s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
        if not versions or min(each["LastModified"] for each in versions) > written:
            yield f"run {run_id} was started before it was complete"
    for package in after.packages:
        run_id = metadata(package).get("run_id", "")
        whole = after.injected.whole_since.get(run_id)
        if whole is not None and package["CreationTime"].astimezone(UTC) < whole:
            yield f"run {run_id} was trained on while it was incomplete or damaged"


def _explained(after: After) -> Iterator[str]:
    yield from explanations(after.stage, after.injected, after.executions, after.notifications)


INVARIANTS: Mapping[str, Callable[[After], Iterator[str]]] = {
    "one execution per run": _one_execution_per_run,
    "champion is the best adopted": _champion_is_best,
    "no event without an outcome": _every_event_has_an_outcome,
    "no partial run consumed": _no_partial_run,
    "API answered throughout": _api_answered,
    "everything explained": _explained,
}
