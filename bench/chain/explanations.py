"""Whether everything that went wrong has a notification, alarm or log line, and a section of the runbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.chain.kinds import Injected
from bench.chain.runbook import BUILD_SECTION, EXECUTION_SECTION, Runbook
from bench.chain.short_stage import ROOT, ShortStage
from bench.chain.stage_state import fields

RUNBOOK = Runbook.read(ROOT / "docs" / "runbook.md")
UNDELIVERED, FAILED = "undelivered-alarm", "failed-alarm"  # endings of the alarms of dead-letter queues
NOTIFIED_ROLLBACK = " rolled back "  # at the end of the subject
FUNCTIONS = ("render_buildspec", "deploy_model", "report_rejection", "recommend")


def explanations(
    stage: ShortStage,
    injected: Injected,
    executions: Sequence[Mapping[str, Any]],
    notifications: Sequence[str],
) -> Iterator[str]:
    """Failures without an explanation, one line each."""
    for text in notifications:
        if not RUNBOOK.knows_notification(text):
            yield f"the runbook has no section for the notification: {text[:200]}"
    yield from _builds(stage, notifications)
    yield from _executions(stage, executions, notifications)
    yield from _dead_letters(stage)
    yield from _functions(stage, notifications)
    yield from _lost_runs(injected, executions)


def _builds(stage: ShortStage, notifications: Sequence[str]) -> Iterator[str]:
    failed = [build for build in stage.builds() if build["buildStatus"] not in ("SUCCEEDED", "IN_PROGRESS")]
    yield from _notified("Build", len(failed), notifications)
    for build in failed:
        lines = stage.build_log(build)
        reasons = [
            *lines,
            *(context["message"] for phase in build["phases"] for context in phase.get("contexts", ())),
        ]
        if not any(RUNBOOK.knows_reason(BUILD_SECTION, line) for line in reasons):
            yield f"the runbook knows no line of the log of {build['id']}: {lines[-3:]}"


def _executions(
    stage: ShortStage, executions: Sequence[Mapping[str, Any]], notifications: Sequence[str]
) -> Iterator[str]:
    failed = [each for each in executions if each["PipelineExecutionStatus"] in ("Failed", "Stopped")]
    yield from _notified("Pipeline execution", len(failed), notifications)
    for execution in failed:
        reasons = [step["FailureReason"] for step in stage.steps(execution) if step.get("FailureReason")]
        for reason in reasons:
            if not RUNBOOK.knows_reason(EXECUTION_SECTION, reason):
                yield f"the runbook does not know the reason of a failed step: {reason}"


def _notified(what: str, n_failed: int, notifications: Sequence[str]) -> Iterator[str]:
    n_notified = sum(text.startswith(what) for text in notifications)
    if n_notified < n_failed:
        yield f"{n_failed} x {what} failed, but there are {n_notified} notifications"


def _dead_letters(stage: ShortStage) -> Iterator[str]:
    """A dead letter starts the alarm of its queue, whose name begins with that of the rule or function."""
    for records, ending in ((stage.deliveries.records, UNDELIVERED), (stage.invocations.records, FAILED)):
        for record in records:
            if record.outcome != "dead letter":
                continue
            names = [name for name in stage.queue_labels() if name in record.label]
            if not any(RUNBOOK.knows_alarm(f"{name}-{ending}") for name in names):
                yield f"the runbook has no section for the alarm of the dead letter of {record.label}"


def _functions(stage: ShortStage, notifications: Sequence[str]) -> Iterator[str]:
    """Errors of functions start their alarms; a rollback is in the log of deploy_model, and notified."""
    for function in FUNCTIONS:
        lines = stage.function_log(function)
        has_error = any(fields(line).get("level") == "ERROR" or "[ERROR]" in line for line in lines)
        if has_error and not RUNBOOK.knows_alarm(f"{function.replace('_', '-')}-errors"):
            yield f"the runbook has no section for errors of {function}"
        for line in lines:
            outcome = fields(line).get("deployment")
            if outcome == "RolledBack" and not any(NOTIFIED_ROLLBACK in text for text in notifications):
                yield "a rollout was rolled back without a notification"


def _lost_runs(injected: Injected, executions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each run was executed in the end: what stopped one was noticed, and repaired."""
    names = {each["PipelineExecutionDisplayName"] for each in executions}
    for run_id in injected.run_ids:
        if f"run-{run_id}" not in names:
            yield f"run {run_id} was never executed, and nothing says why"
