"""Command `variants`: compare the models that answered the API's requests, and reject the worse one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.aws import DeployedStage, running_stage
from local.errors import BadInputError
from local.variants.comparison import NO_HITS, Comparison, compare
from local.variants.records import Answer, read_answers, read_clicks, read_text
from ml.contract import UNKNOWN_MODEL_VERSION

MAX_DESCRIPTION = 1024  # SageMaker API, UpdateModelPackage: ApprovalDescription


@dataclass(frozen=True)
class VariantOptions:
    """Options of the command.

    Attributes:
        clicks: CSV file.
        records: lines of the API's log; None: the log of the running stage.
        versions: control and treatment; empty: the two versions with the most answers, the older is control.
        window_minutes: time in which a click is a hit.
        reject_if_worse: reject the package of the treatment.
    """

    clicks: Path
    records: Path | None
    versions: tuple[str, str]
    window_minutes: int
    reject_if_worse: bool


def run(
    options: VariantOptions, out: Console, find_stage: Callable[[], DeployedStage] = running_stage
) -> Comparison:
    """Print the comparison, and reject the treatment if it is worse and the options say so.

    Args:
        options: of the command.
        out: receives the table.
        find_stage: finds the stage whose log is read and whose package is rejected.

    Raises:
        BadInputError: there are no answers of two versions, or the clicks or the answers cannot be read.
    """
    answers = read_answers(_lines(options.records, find_stage))
    control, treatment = options.versions if all(options.versions) else _versions(answers)
    clicks = read_clicks(options.clicks)
    found = compare(answers, clicks, control, treatment, 60.0 * options.window_minutes)
    _show(found, out)
    if n_unknown := sum(answer.version == UNKNOWN_MODEL_VERSION for answer in answers):
        out.print(f"left out: {n_unknown} answers without a readable model version", markup=False)
    if options.reject_if_worse and found.verdict == "worse":
        stage = find_stage()
        reject(stage.client("sagemaker"), stage.outputs["model_package_group"], found)
        out.print(f"rejected the package of {treatment}")
    return found


def reject(sagemaker: Any, group: str, found: Comparison) -> None:
    """Reject the approved package of the treatment, which returns to the model before it.

    Raises:
        BadInputError: no approved package is of that run.
    """
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved"
    )
    for arn in (each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]):
        package = sagemaker.describe_model_package(ModelPackageName=arn)
        if package.get("CustomerMetadataProperties", {}).get("run_id") == found.treatment.version:
            why = f"Worse on live traffic: hit rate {found.difference} compared with {found.control.version}."
            sagemaker.update_model_package(
                ModelPackageArn=arn,
                ModelApprovalStatus="Rejected",
                ApprovalDescription=why[:MAX_DESCRIPTION],
            )
            return
    raise BadInputError(f"no approved package has the run {found.treatment.version}")


def _lines(records: Path | None, find_stage: Callable[[], DeployedStage]) -> list[str]:
    if records is not None:
        return read_text(records).splitlines()
    stage = find_stage()
    pages = stage.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=stage.outputs["recommend_log_group"])
    return [event["message"] for page in found for event in page["events"]]


def _versions(answers: list[Answer]) -> tuple[str, str]:
    """The two versions with the most answers, the older one first."""
    counts = Counter(answer.version for answer in answers if answer.version != UNKNOWN_MODEL_VERSION)
    chosen = [version for version, _ in counts.most_common(2)]
    if len(chosen) < 2:
        raise BadInputError(
            f"the log has answers of {len(chosen)} model versions: set api.record_answers, and compare "
            "during a rollout with a canary or linear steps"
        )
    control, treatment = sorted(chosen)
    return control, treatment


def _show(found: Comparison, out: Console) -> None:
    table = Table(
        "model", "users", "answers", "errors", "p50 ms", "p99 ms", "hits", "hit rate [95 %]", box=None
    )
    for label, each in (("control", found.control), ("treatment", found.treatment)):
        numbers = (each.n_users, each.n_answers, each.n_errors, each.p50_ms, each.p99_ms, each.n_hits)
        table.add_row(f"{label} {each.version}", *map(str, numbers), str(each.hit_rate))
    out.print(table)
    out.print(f"difference of the hit rates: {found.difference}: {found.verdict}", markup=False)
    if found.verdict == NO_HITS:
        out.print("no click belongs to an answer: compare users, items and times of clicks and answers")
