"""``python -m ml.pipeline``: train, judge, register and deploy one prepared run.

Reads the stage and the run from its environment (``ml.pipeline.environment``), checks the run's
manifest, publishes the pinned code, upserts the stage's pipeline, starts it once for the run, and
follows the execution to its end. A run that has an execution already is followed, not started again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ml import contract
from ml.manifest import ManifestError
from ml.pipeline.aws import aws_session
from ml.pipeline.environment import Run, Stage
from ml.pipeline.execution import (
    Ended,
    ExecutionTimeoutError,
    find_execution,
    follow,
    start_execution,
    upsert_pipeline,
)
from ml.pipeline.prepared import read_manifest
from ml.pipeline.report import failure_lines, rejection_lines
from ml.pipeline.settings import MAX_SPOT_WAIT_FACTOR, SettingsError
from ml.pipeline.source import SourceError, publish_source

SUCCEEDED, FAILED, BAD_INPUT, REJECTED = 0, 1, 2, 3
STEPS_WITHOUT_LIMIT_S = 1800  # what queueing, registering and deploying may take beside the two jobs

EPILOG = f"""exit codes: {SUCCEEDED} the model is registered and its deployment asked for,
{FAILED} a step failed, {BAD_INPUT} bad input or configuration, {REJECTED} the candidate lost the gate"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.pipeline", description=(__doc__ or "").split("\n\n", 1)[1], epilog=EPILOG
    )
    parser.add_argument(
        "--definition",
        action="store_true",
        help="print the stage's definition as JSON and change nothing; away from AWS, set "
        "SAGEMAKER_VALIDATE_ROLE=false, or the SDK asks IAM about the roles",
    )
    options = parser.parse_args(arguments)
    _quieten_sdk()
    try:
        stage = Stage.from_environment(os.environ)
        if options.definition:
            say(json.dumps(_compile(stage, aws_session(stage.region), upload=False), indent=2))
            return SUCCEEDED
        return run_pipeline(stage, Run.from_environment(os.environ), aws_session(stage.region))
    except (SettingsError, ManifestError, SourceError) as error:
        complain(error)
        return BAD_INPUT
    except (ClientError, BotoCoreError, ExecutionTimeoutError) as error:
        complain(error)
        return FAILED


def run_pipeline(stage: Stage, run: Run, session: boto3.Session) -> int:
    """Start the run's execution unless it has one, follow it, and return the exit code of its outcome."""
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    manifest = read_manifest(s3, stage, run)
    if manifest.run_id != run.run_id:
        say(f"warning: the manifest of run {run.run_id} is of run {manifest.run_id}: a copy")
    say(f"run {run.run_id}: {manifest.counts.train} training rows, code version {run.code_version}")
    arn = find_execution(sagemaker, stage, run)
    if arn:
        say(f"following {arn}, which this run has already")
    else:
        publish_source(s3, stage, run)
        upsert_pipeline(sagemaker, stage, _compile(stage, session))
        arn = start_execution(sagemaker, stage, run)
        say(f"started {arn}")
    limit_s = stage.training.max_runtime_s * (MAX_SPOT_WAIT_FACTOR + 1) + STEPS_WITHOUT_LIMIT_S
    ended = follow(sagemaker, arn, on_change=_say_step, timeout_s=limit_s)
    return _outcome(stage, run, session, ended)


def _outcome(stage: Stage, run: Run, session: boto3.Session, ended: Ended) -> int:
    if ended.status == "Succeeded":
        say(f"run {run.run_id}: succeeded")
        return SUCCEEDED
    failed = ended.failed_step
    if failed is None:
        complain(f"the execution is {ended.status}: {ended.reason or 'no reason given'}")
        return FAILED
    if failed["StepName"] == contract.STEP_REJECTED:
        for line in rejection_lines(session.client("s3"), stage, run):
            complain(line)
        return REJECTED
    for line in failure_lines(session.client("logs"), failed):
        complain(line)
    return FAILED


def _compile(stage: Stage, session: boto3.Session, *, upload: bool = True) -> dict[str, Any]:
    # The SDK takes seconds to import, and asks boto3 for clients meanwhile: only a run that is not
    # started yet waits for it, with the default session in place.
    from ml.pipeline.definition import compile_definition  # noqa: PLC0415
    from ml.pipeline.session import DefinitionSession  # noqa: PLC0415

    return compile_definition(stage, DefinitionSession(session, stage.artifacts_bucket, upload=upload))


def _quieten_sdk() -> None:
    """Keep the SDK's advice to people who type in notebooks out of a build's log."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"sagemaker\..*")


def _say_step(step: dict[str, Any]) -> None:
    say(f"{step['StepName']}: {step['StepStatus']}")


def say(line: str) -> None:
    """One line for the build's log, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(problem: object) -> None:
    """One line on the error stream."""
    sys.stderr.write(f"{problem}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
