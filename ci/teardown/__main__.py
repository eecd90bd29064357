"""``python -m ci.teardown STAGE``: delete what a stage created at run time, so that it can be destroyed.

Lists everything first, and deletes nothing without ``--delete`` and the stage's name as confirmation. Run it
before ``pulumi destroy``, which stops at buckets and package groups that are not empty, and does not know
what the pipeline and deploy_model created. Refuses a stage with ``protect_data: true``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ci.teardown import models, objects, running
from ci.teardown.leftover import Leftover, Waiter
from ci.teardown.objects import DeletionError
from ci.teardown.stage import DeployedStage, StageError, load_stage, outputs_of, stack_outputs

CLIENT_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 8})
EXIT_FAILED, EXIT_REFUSED = 1, 2
MAX_PASSES = 3

Connect = Callable[[str, str], Any]
"""(service, region) to a boto3 client."""


@dataclass(frozen=True)
class Dependencies:
    """Dependencies of the command on its process and on AWS."""

    connect: Connect = lambda service, region: boto3.client(service, region_name=region, config=CLIENT_CONFIG)
    ask: Callable[[str], str] = input
    root: Path = Path()
    waiter: Waiter = field(default_factory=Waiter)


def main(arguments: Sequence[str] | None = None, dependencies: Dependencies | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 an error of AWS, 2 refused."""
    parser = argparse.ArgumentParser(
        prog="python -m ci.teardown", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("stage", help="stage to tear down, such as dev")
    parser.add_argument("--delete", action="store_true", help="delete it all, after a confirmation")
    parser.add_argument("--confirm", metavar="STAGE", help="the stage's name, instead of the question")
    parser.add_argument(
        "--outputs", type=Path, help="JSON file with the stack's outputs (default: pulumi stack output)"
    )
    options = parser.parse_args(arguments)
    given = dependencies or Dependencies()
    try:
        stage = load_stage(options.stage, given.root, _outputs_reader(options.outputs))
        found = list(leftovers(stage, given))
        for each in found:
            print(f"{each.kind}: {each.name}")
        if not found or not options.delete:
            print(_summary(stage, len(found)))
            return 0
        _confirm(stage, options.confirm, given.ask)
        n_deleted = _delete(stage, found, given)
    except StageError as error:
        print(f"teardown: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except (BotoCoreError, ClientError, DeletionError, TimeoutError) as error:
        print(f"teardown: {error}", file=sys.stderr)
        return EXIT_FAILED
    print(f"deleted {n_deleted}; now run pulumi destroy --stack {stage.name}")
    return 0


def _delete(stage: DeployedStage, found: list[Leftover], dependencies: Dependencies) -> int:
    """Delete what was found, then what work in progress has created in the meantime; returns the number."""
    n_deleted = 0
    for _ in range(MAX_PASSES):
        for each in found:
            print(f"deleting {each.kind}: {each.name}", flush=True)
            each.delete()
        n_deleted += len(found)
        found = list(leftovers(stage, dependencies))
        if not found:
            return n_deleted
    raise TimeoutError(f"{found[0].kind} {found[0].name} was created in the meantime; run the command again")


def leftovers(stage: DeployedStage, dependencies: Dependencies) -> Iterator[Leftover]:
    """Everything to delete, in this order: work in progress first, what is in use after its user.

    The pipeline comes last but for the objects, because the names of its jobs are in its executions.
    """
    waiter = dependencies.waiter
    clients = {
        name: dependencies.connect(name, stage.region)
        for name in ("emr", "codebuild", "sagemaker", "logs", "s3")
    }
    sagemaker = clients["sagemaker"]
    executions = models.pipeline_executions(sagemaker, stage)
    yield from running.clusters(clients["emr"], stage, waiter)
    yield from running.builds(clients["codebuild"], stage, waiter)
    yield from running.executions(sagemaker, executions, waiter)
    yield from models.job_logs(sagemaker, clients["logs"], executions)
    yield from models.endpoint(sagemaker, stage, waiter)
    yield from models.endpoint_configs(sagemaker, stage)
    yield from models.models(sagemaker, stage)
    yield from models.packages(sagemaker, stage)
    yield from models.pipeline(sagemaker, stage)
    for bucket in stage.buckets:
        yield from objects.contents(clients["s3"], bucket)


def _outputs_reader(path: Path | None) -> Callable[[str], Any]:
    if path is None:
        return stack_outputs

    def read(_name: str) -> Any:
        try:
            return outputs_of(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise StageError(f"{path}: {error.strerror}") from None

    return read


def _confirm(stage: DeployedStage, given: str | None, ask: Callable[[str], str]) -> None:
    answer = given if given is not None else ask(f"Delete all of this for good? Type {stage.name}: ")
    if answer.strip() != stage.name:
        raise StageError(f"not confirmed: {answer.strip()!r} is not {stage.name}; nothing was deleted")


def _summary(stage: DeployedStage, n: int) -> str:
    if n == 0:
        return f"nothing to delete; run pulumi destroy --stack {stage.name}"
    return f"{n} to delete; nothing was deleted: run it again with --delete"


if __name__ == "__main__":
    sys.exit(main())
