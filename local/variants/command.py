"""Command `variants`: compare the models that answered the API's requests, and reject the worse one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from local.aws import DeployedStage, running_stage
from local.errors import BadInputError
from local.variants.comparison import NO_HITS, Comparison, Tally
from local.variants.records import RECORDED, Click, UserKey, read_answers, read_clicks, seconds
from ml.contract import RECORDING_KEY, UNKNOWN_MODEL_VERSION

DAY_S = 86_400.0
MAX_DESCRIPTION = 1024  # SageMaker API, UpdateModelPackage: ApprovalDescription


@dataclass(frozen=True)
class VariantOptions:
    """Options of the command.

    Attributes:
        clicks: CSV file.
        records: lines of the API's log; None: the log of the running stage.
        key: file with the key of the records; None: that of the running stage.
        since: time of the first answer; empty: the window before the first click, or a day ago.
        versions: control and treatment; empty: the two versions with the most answers, the older is control.
        window_minutes: time in which a click is a hit.
        reject_if_worse: reject the package of the treatment.
    """

    clicks: Path
    records: Path | None
    key: Path | None
    since: str
    versions: tuple[str, str]
    window_minutes: int
    reject_if_worse: bool


def run(
    options: VariantOptions, out: Console, find_stage: Callable[[], DeployedStage] = running_stage
) -> Comparison:
    """Print the comparison, and reject the treatment if it is worse and the options say so.

    Args:
        options: options of the command.
        out: receives the table.
        find_stage: finds the stage whose log is read and whose package is rejected.

    Raises:
        BadInputError: there are no answers of two versions, or the clicks or the answers cannot be read.
    """
    key = _key(options.key, find_stage)
    clicks = read_clicks(options.clicks, key)
    window_s = 60.0 * options.window_minutes
    since = seconds(options.since, "--since") if options.since else _first(clicks, window_s)
    tally, n_of_other_keys = Tally(clicks, window_s), 0
    for answer in read_answers(_lines(options.records, since, find_stage), since):
        if answer.user_key == key.id:
            tally.add(answer)
        else:
            n_of_other_keys += 1
    n_answers = tally.n_answers
    control, treatment = options.versions if all(options.versions) else _versions(n_answers)
    found = tally.compare(control, treatment)
    _show(found, out)
    if n_unknown := n_answers.get(UNKNOWN_MODEL_VERSION):
        out.print(f"left out: {n_unknown} answers without a readable model version", markup=False)
    if n_of_other_keys:
        out.print(f"left out: {n_of_other_keys} answers recorded with another key", markup=False)
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


def _key(path: Path | None, find_stage: Callable[[], DeployedStage]) -> UserKey:
    """The key of the records: of a file, or of the running stage.

    Raises:
        BadInputError: there is none.
    """
    if path is not None:
        try:
            return UserKey(path.read_bytes())
        except OSError as error:
            raise BadInputError(f"{path}: cannot be read: {error}") from error
    stage = find_stage()
    bucket = stage.outputs["artifacts_bucket"]
    try:
        return UserKey(stage.client("s3").get_object(Bucket=bucket, Key=RECORDING_KEY)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise BadInputError(
            f"s3://{bucket}/{RECORDING_KEY}: no such object: no answer was recorded; set api.record_answers"
        ) from None


def _first(clicks: Iterable[Click], window_s: float) -> float:
    """Time of the first answer that a click can belong to; a day ago without clicks."""
    return min((click.time for click in clicks), default=time.time() - DAY_S + window_s) - window_s


def _lines(records: Path | None, since: float, find_stage: Callable[[], DeployedStage]) -> Iterator[str]:
    """Lines of the log since a time, one at a time.

    Raises:
        BadInputError: the file cannot be read.
    """
    if records is not None:
        try:
            with records.open(encoding="utf-8") as lines:
                yield from lines
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(f"{records}: cannot be read: {error}") from error
        return
    stage = find_stage()
    pages = (
        stage.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=stage.outputs["recommend_log_group"],
            startTime=max(int(since * 1000), 0),
            filterPattern=f'"{RECORDED}"',
        )
    )
    for page in pages:
        for event in page["events"]:
            yield event["message"]


def _versions(n_answers: Mapping[str, int]) -> tuple[str, str]:
    """The two versions with the most answers, the older one first."""
    known = [version for version in n_answers if version != UNKNOWN_MODEL_VERSION]
    chosen = sorted(known, key=lambda version: -n_answers[version])[:2]
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
