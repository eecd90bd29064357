"""Kinds of faults: each starts a run, injects its fault at a random moment, and repairs what a person would.

After a kind has returned and the chain has come to rest, the invariants must hold (`bench.chain.invariants`).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psutil

from bench.chain.short_stage import ShortStage
from emulator.services.events.delivery import RuleDelivery
from ml import contract

MAX_DELAY_S = 2.0
THROTTLED_SHARE = 0.15
FILE_LIMIT_BYTES = 512  # of a process whose disk is full
MAX_SKEW = timedelta(hours=12)
PROCESS_TIMEOUT_S = 120.0
TRAINING, SERVING, BUILD = "ml.ncf.jobs.train", "inference_server.py", "ml.pipeline"


@dataclass(frozen=True)
class Injected:
    """What a kind did.

    Attributes:
        run_ids: runs that it started.
        is_served: whether the newest of them has to be served in the end.
    """

    run_ids: tuple[str, ...]
    is_served: bool = True


Kind = Callable[[ShortStage, random.Random], Injected]


def none(stage: ShortStage, rng: random.Random) -> Injected:
    """No fault: the baseline."""
    del rng
    return _one_run(stage)


# -- events -------------------------------------------------------------------------------------
def duplicate_events(stage: ShortStage, rng: random.Random) -> Injected:
    """Each event is delivered twice."""
    stage.deliveries.fault = lambda _: (0.0, rng.uniform(0, MAX_DELAY_S))
    return _one_run(stage)


def reordered_events(stage: ShortStage, rng: random.Random) -> Injected:
    """The events of two runs arrive in any order."""
    stage.deliveries.fault = lambda _: (rng.uniform(0, MAX_DELAY_S),)
    return two_runs_at_once(stage, rng)


def delayed_events(stage: ShortStage, rng: random.Random) -> Injected:
    """Each event is late."""
    stage.deliveries.fault = lambda _: (rng.uniform(MAX_DELAY_S / 2, 2 * MAX_DELAY_S),)
    return _one_run(stage)


def lost_event(stage: ShortStage, rng: random.Random) -> Injected:
    """One of the events that start a step is lost; a person starts the run again."""
    run_id = stage.new_run_id()
    stage.deliveries.fault = _drop_one(rng.choice(("run-prepared", "buildspec-rendered")))
    stage.write_run(run_id)
    stage.settle()
    if stage.deliveries.records and not stage.is_deployed(run_id):
        stage.start_again(run_id)
        stage.settle()
    return Injected((run_id,))


def clock_skew(stage: ShortStage, rng: random.Random) -> Injected:
    """The times of events are hours off, and a run with an older id comes after a newer one."""

    def skewed(delivery: RuleDelivery) -> Sequence[float]:
        moment = datetime.fromisoformat(delivery.event.event["time"]) + MAX_SKEW * rng.uniform(-1, 1)
        delivery.event.event["time"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return (0.0,)

    stage.deliveries.fault = skewed
    older, newer = stage.new_run_id(), stage.new_run_id()
    stage.write_run(newer)
    stage.settle()
    stage.write_run(older)
    stage.settle()
    return Injected((newer, older))


# -- processes ----------------------------------------------------------------------------------
def killed_build(stage: ShortStage, rng: random.Random) -> Injected:
    """The build's processes are killed; a person starts the run again."""
    return _killed(stage, rng, BUILD)


def killed_training(stage: ShortStage, rng: random.Random) -> Injected:
    """The training's process is killed; a person starts the run again."""
    return _killed(stage, rng, TRAINING)


def killed_preparation(stage: ShortStage, rng: random.Random) -> Injected:
    """The preparation ends in the middle of its files; later it is launched again."""
    run_id = stage.new_run_id()
    stage.write_run(run_id, n_files=rng.randrange(1, stage.n_files()))
    stage.settle()
    stage.write_run(run_id)
    stage.settle()
    return Injected((run_id,))


def killed_endpoint(stage: ShortStage, rng: random.Random) -> Injected:
    """The process of the model is killed while a run is on its way."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    time.sleep(rng.uniform(0, 6))
    for process in _processes(SERVING):
        _kill(process)
    stage.settle()
    return Injected((run_id,))


def full_disk(stage: ShortStage, rng: random.Random) -> Injected:
    """Training cannot write files; a person starts the run again when there is room."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    process = _wait_for_process(stage, TRAINING)
    if process is not None:
        time.sleep(rng.uniform(0, 1))
        with contextlib.suppress(psutil.Error):
            process.rlimit(psutil.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES))
    return _start_again_if_failed(stage, run_id)


# -- data, models, requests ---------------------------------------------------------------------
def poisoned_input(stage: ShortStage, rng: random.Random) -> Injected:
    """A file of the run is damaged; the run is written again and started again."""
    run_id = stage.new_run_id()

    def damage(files: dict[str, bytes]) -> None:
        name = rng.choice(sorted(name for name in files if name.endswith(".parquet")))
        content = bytearray(files[name])
        content[rng.randrange(len(content))] ^= 1 + rng.randrange(255)
        files[name] = bytes(content)

    stage.write_run(run_id, change=damage)
    stage.settle()
    if not stage.is_deployed(run_id):
        stage.write_run(run_id, change=lambda files: files.__delitem__(contract.SUCCESS_FILE))
        stage.start_again(run_id)
        stage.settle()
    return Injected((run_id,))


def bad_model(stage: ShortStage, rng: random.Random) -> Injected:
    """The model artifact is damaged after the training; the next run repairs it."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    bucket, prefix = stage.stage.outputs["artifacts_bucket"], f"{contract.MODELS_PREFIX}{run_id}/"
    s3 = stage.stage.client("s3")

    def artifact() -> str | None:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return next((e["Key"] for e in found if e["Key"].endswith(contract.MODEL_ARCHIVE)), None)

    with contextlib.suppress(TimeoutError):
        stage.wait(artifact, "the artifact", PROCESS_TIMEOUT_S)
    time.sleep(rng.uniform(0, 4))
    if key := artifact():
        s3.put_object(Bucket=bucket, Key=key, Body=b"damaged")
    stage.settle()
    following = _one_run(stage)
    return Injected((run_id, *following.run_ids))


def rollback(stage: ShortStage, rng: random.Random) -> Injected:
    """An alarm of the endpoint rings during the rollout."""
    run_id = stage.new_run_id()
    cloudwatch = stage.stage.client("cloudwatch")
    names = [each["AlarmName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]]
    alarm = next(name for name in names if "endpoint-rollout-errors" in name)
    stage.write_run(run_id)
    with contextlib.suppress(TimeoutError):
        stage.wait(lambda: stage.endpoint()["EndpointStatus"] == "Updating", "the rollout", PROCESS_TIMEOUT_S)
    time.sleep(rng.uniform(0, 1.5))
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="injected")
    stage.settle()
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="injected")
    return Injected((run_id,), is_served=not stage.is_rolled_back(run_id))


def two_runs_at_once(stage: ShortStage, rng: random.Random) -> Injected:
    """Two runs become complete within a moment."""
    first, second = stage.new_run_id(), stage.new_run_id()
    stage.write_run(first)
    time.sleep(rng.uniform(0, 1))
    stage.write_run(second)
    stage.settle()
    return Injected((first, second))


def throttled_calls(stage: ShortStage, rng: random.Random) -> Injected:
    """A share of the requests of all roles is refused; a person starts a failed run again."""
    stage.emulator.throttled_share = rng.uniform(0, THROTTLED_SHARE)
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    stage.settle()
    stage.emulator.throttled_share = 0.0
    return _start_again_if_failed(stage, run_id)


KINDS: Mapping[str, Kind] = {
    kind.__name__: kind
    for kind in (
        none,
        *(duplicate_events, reordered_events, lost_event, delayed_events, clock_skew),
        *(killed_build, killed_training, killed_preparation, killed_endpoint, full_disk),
        *(poisoned_input, bad_model, rollback, two_runs_at_once, throttled_calls),
    )
}


def _one_run(stage: ShortStage) -> Injected:
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    stage.settle()
    return Injected((run_id,))


def _start_again_if_failed(stage: ShortStage, run_id: str) -> Injected:
    """A person repeats what failed, once."""
    stage.settle()
    if not stage.is_deployed(run_id):
        stage.start_again(run_id)
        stage.settle()
    return Injected((run_id,))


def _killed(stage: ShortStage, rng: random.Random, program: str) -> Injected:
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    process = _wait_for_process(stage, program)
    if process is not None:
        time.sleep(rng.uniform(0, 2))
        _kill(process)
    return _start_again_if_failed(stage, run_id)


def _drop_one(rule: str) -> Callable[[RuleDelivery], Sequence[float]]:
    """Drop the first delivery of a rule."""
    dropped: list[str] = []

    def fault(delivery: RuleDelivery) -> Sequence[float]:
        if rule in delivery.label and not dropped:
            dropped.append(delivery.label)
            return ()
        return (0.0,)

    return fault


def _processes(program: str) -> list[psutil.Process]:
    """Running children of the emulator with a word of the command line that contains a program."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(program in word for word in child.cmdline()):
                found.append(child)
    return found


def _wait_for_process(stage: ShortStage, program: str) -> psutil.Process | None:
    """The newest process of a program, when there is one; None if none comes."""
    with contextlib.suppress(TimeoutError):
        stage.wait(lambda: _processes(program), program, PROCESS_TIMEOUT_S)
        return next(reversed(_processes(program)), None)
    return None


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.kill()
