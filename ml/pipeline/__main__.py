"""``python -m ml.pipeline``: train, evaluate, register and deploy a model of one prepared run.

Reads the stage and the run from its environment variables (``ml.pipeline.environment``), validates the run's
manifest, publishes the pinned code version, upserts the stage's pipeline, starts an execution for the run and
follows it to its end. If an execution of the run is in progress or has succeeded, that one is followed
instead; after executions that failed or were stopped, the run is started again.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ml.manifest import ManifestError
from ml.pipeline.aws import aws_session
from ml.pipeline.environment import PipelineStage, Run, VariableError
from ml.pipeline.execution import (
    ExecutionState,
    ExecutionTimeoutError,
    find_executions,
    start_execution,
    upsert_pipeline,
    watch_execution,
)
from ml.pipeline.prepared import read_manifest
from ml.pipeline.report import failure_lines, rejection_lines
from ml.pipeline.source import SourceError, publish_source
from ml.settings.training import MAX_SPOT_WAIT_FACTOR

SUCCEEDED, FAILED, BAD_INPUT = 0, 1, 2
OTHER_STEPS_S = 1800  # time for queueing, registering and deploying, in addition to the two jobs

EPILOG = f"""exit codes: {SUCCEEDED} the model is registered and its deployment requested, or the candidate
failed the gate, {FAILED} a step failed, {BAD_INPUT} bad input or configuration"""


def compile_pipeline(stage: PipelineStage, session: boto3.Session, *, upload: bool) -> dict[str, Any]:
    """Definition of the stage's pipeline; with ``upload``, the SDK's container drivers are written to S3."""
    # Importing the SDK takes seconds and creates clients from the default session: import it only when a
    # definition is needed. Its log messages are advice to users of notebooks.
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"sagemaker\..*")
    from ml.pipeline.definition import compile_definition  # noqa: PLC0415
    from ml.pipeline.session import DefinitionSession  # noqa: PLC0415

    return compile_definition(stage, DefinitionSession(session, stage.artifacts_bucket, upload=upload))


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """Dependencies of the command on its process and on AWS."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    connect: Callable[[str], Any] = aws_session  # region -> boto3 session
    compile_pipeline: Callable[..., dict[str, Any]] = compile_pipeline
    sleep: Callable[[float], object] = time.sleep


def main(arguments: Sequence[str] | None = None, dependencies: Dependencies | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.pipeline", description=(__doc__ or "").split("\n\n", 1)[1], epilog=EPILOG
    )
    parser.add_argument(
        "--definition",
        action="store_true",
        help="print the stage's definition as JSON and change nothing; away from AWS, set "
        "SAGEMAKER_VALIDATE_ROLE=false, or the SDK checks the roles with IAM",
    )
    options = parser.parse_args(arguments)
    given = dependencies or Dependencies()
    try:
        stage = PipelineStage.from_environment(given.environment)
        if options.definition:
            definition = given.compile_pipeline(stage, given.connect(stage.region), upload=False)
            print_line(json.dumps(definition, indent=2))
            return SUCCEEDED
        return run_pipeline(stage, Run.from_environment(given.environment), given)
    except (VariableError, ManifestError, SourceError) as error:
        print_error(error)
        return BAD_INPUT
    except (ClientError, BotoCoreError, ExecutionTimeoutError) as error:
        print_error(error)
        return FAILED


def run_pipeline(stage: PipelineStage, run: Run, dependencies: Dependencies) -> int:
    """Start the run unless it is in progress or has succeeded; follow it and return its exit code."""
    session = dependencies.connect(stage.region)
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    manifest = read_manifest(s3, stage, run)
    if manifest.run_id != run.run_id:
        print_line(f"warning: run {run.run_id} has the manifest of run {manifest.run_id}: it is a copy")
    print_line(f"run {run.run_id}: {manifest.counts.train} training rows, code version {run.code_version}")
    arn = _execution_to_follow(stage, run, session, dependencies)
    for state in watch_execution(sagemaker, arn, timeout_s=_limit_s(stage), sleep=dependencies.sleep):
        for step in state.changed:
            print_line(f"{step['StepName']}: {step['StepStatus']}")
    return _outcome(run, session, state)


def _execution_to_follow(
    stage: PipelineStage, run: Run, session: boto3.Session, dependencies: Dependencies
) -> str:
    """ARN of the run's execution that is in progress or has succeeded, or of a new one."""
    sagemaker = session.client("sagemaker")
    known = find_executions(sagemaker, stage.pipeline_name, run.run_id)
    if known.newest_arn and known.newest_status == "Stopping":
        print_line(f"waiting until {known.newest_arn} has stopped")
        wait = watch_execution(
            sagemaker, known.newest_arn, timeout_s=_limit_s(stage), sleep=dependencies.sleep
        )
        deque(wait, maxlen=0)
        known = find_executions(sagemaker, stage.pipeline_name, run.run_id)
    if known.current_arn:
        print_line(f"following {known.current_arn}, the execution that this run already has")
        return known.current_arn
    publish_source(session.client("s3"), stage, run)
    definition = dependencies.compile_pipeline(stage, session, upload=True)
    upsert_pipeline(sagemaker, stage, definition)
    arn = start_execution(sagemaker, stage, run, n_failed=known.n_failed)
    again = f" again, after {known.newest_arn} ended {known.newest_status}" if known.newest_arn else ""
    print_line(f"started {arn}{again}")
    return arn


def _limit_s(stage: PipelineStage) -> int:
    """Seconds to follow an execution."""
    return stage.training.max_runtime_s * (MAX_SPOT_WAIT_FACTOR + 1) + OTHER_STEPS_S


def _outcome(run: Run, session: boto3.Session, state: ExecutionState) -> int:
    if state.status == "Succeeded" and state.rejected_step is not None:
        print_line(f"run {run.run_id}: the candidate failed the quality gate and was not registered")
        for line in rejection_lines(state.rejected_step):
            print_line(f"  {line}")
        return SUCCEEDED
    if state.status == "Succeeded":
        print_line(f"run {run.run_id}: succeeded")
        return SUCCEEDED
    failed = state.failed_step
    if failed is None:
        print_error(f"the execution is {state.status}: {state.reason or 'no reason given'}")
        return FAILED
    for line in failure_lines(session.client("logs"), failed):
        print_error(line)
    return FAILED


def print_line(line: str) -> None:
    """Write a line to stdout, unbuffered."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def print_error(problem: object) -> None:
    """Write a line to stderr, unbuffered."""
    sys.stderr.write(f"{problem}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    gc.set_threshold(20_000)  # the SDK creates many objects that stay: 0.8 s of collections among them
    sys.exit(main())
