"""Kinds of faults: each starts a run, injects its fault at a random moment, and repairs what a person would.

After a kind has returned and the chain has come to rest, the invariants must hold (`bench.chain.invariants`).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bench.chain import launch, processes
from bench.chain.deliveries import Fault, Refused
from bench.chain.runs import WORSE
from bench.chain.short_stage import MAX_BAKING_S, ShortStage
from emulator.services.events.delivery import RuleDelivery
from ml import contract

MAX_DELAY_S = 1.5
MAX_THROTTLED_SHARE = 0.15
MAX_SKEW = timedelta(hours=12)
PROCESS_TIMEOUT_S = 60.0
STEP_S = 0.5  # of a program that the baseline did not see
LAST_MOMENT = 0.9  # of a step: later, a kill often comes too late
STEPS = ("run-prepared", "buildspec-rendered", "endpoint-changed")  # rules whose events start a step


@dataclass(frozen=True)
class Injected:
    """Result of a fault of one kind.

    Attributes:
        run_ids: runs that were started.
        is_served: whether the newest package has to be of one of them in the end.
        whole_since: by run, the moment before which it was not complete, or damaged.
        detail: what was done, for the report.
        hit: whether the fault met what it is for, such as a running process; None: it always does.
    """

    run_ids: tuple[str, ...]
    is_served: bool = True
    whole_since: Mapping[str, datetime] = field(default_factory=dict)
    detail: str = ""
    hit: bool | None = None


Kind = Callable[[ShortStage, random.Random], Injected]


def none(stage: ShortStage, rng: random.Random) -> Injected:
    """No fault: the baseline, whose duration and whose steps are the ranges of the random moments."""
    del rng
    programs = (processes.INSTALL, processes.BUILD, processes.TRAINING, processes.EVALUATION)
    start = time.monotonic()
    with processes.measured(stage.children, *programs) as seconds:
        injected = _one_run(stage)
    stage.chain_s = time.monotonic() - start
    stage.step_s = seconds
    return injected


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
    stage.deliveries.fault = lambda _: (rng.uniform(MAX_DELAY_S / 3, MAX_DELAY_S),)
    return _one_run(stage)


def lost_event(stage: ShortStage, rng: random.Random) -> Injected:
    """An event that starts a step is lost, or refused by its target; a person does what the runbook says."""
    rule, how = rng.choice(STEPS), rng.choice(((), Refused()))
    run_id = stage.new_run_id()
    stage.deliveries.fault = _first_of(rule, how)
    stage.write_run(run_id)
    stage.settle()
    if not stage.is_deployed(run_id):
        if stage.package_of(run_id) is None:
            stage.start_again(run_id)
        else:
            launch.deploy(stage, run_id)
        stage.settle()
    return Injected((run_id,), detail=f"{rule} {'refused' if how else 'dropped'}")


def clock_skew(stage: ShortStage, rng: random.Random) -> Injected:
    """The times of events are hours off, and a run with an older id comes after a newer one."""

    def skewed(delivery: RuleDelivery) -> Sequence[float]:
        moment = datetime.fromisoformat(delivery.event.event["time"]) + MAX_SKEW * rng.uniform(-1, 1)
        delivery.event.event["time"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return (0.0,)

    stage.deliveries.fault = skewed
    older, newer = stage.new_run_id(), stage.new_run_id()
    stage.write_run(newer)
    time.sleep(rng.uniform(0, stage.chain_s))
    stage.write_run(older)
    stage.settle()
    return Injected((newer, older))


# -- processes ----------------------------------------------------------------------------------
def killed_build(stage: ShortStage, rng: random.Random) -> Injected:
    """A process of the build is killed; a person starts the run again."""
    return _killed(stage, rng, (processes.INSTALL, processes.BUILD))


def killed_training(stage: ShortStage, rng: random.Random) -> Injected:
    """The process of the training or of the evaluation is killed; a person starts the run again."""
    return _killed(stage, rng, (processes.TRAINING, processes.EVALUATION))


def killed_preparation(stage: ShortStage, rng: random.Random) -> Injected:
    """The process of the preparation is killed; later the run is launched again."""
    run_id = stage.new_run_id()
    with launch.preparation_process(stage, run_id) as process:
        time.sleep(rng.uniform(0, launch.PREPARATION_S))
        was_running = processes.kill(process)
    if not was_running:
        stage.settle()
        return Injected((run_id,), detail="it had ended", hit=False)
    launch.report_failed_preparation(stage, "the process was killed")
    stage.settle()
    whole = datetime.now(UTC)
    stage.write_run(run_id)
    stage.settle()
    return Injected((run_id,), whole_since={run_id: whole}, hit=True)


def killed_endpoint(stage: ShortStage, rng: random.Random) -> Injected:
    """The processes of the endpoint are killed, at any moment of the chain."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    time.sleep(rng.uniform(0, stage.chain_s))
    found = processes.running(stage.children, processes.SERVING)
    n_killed = sum(processes.kill(process) for process in found)
    stage.settle()
    return Injected((run_id,), detail=f"{n_killed} processes", hit=n_killed > 0)


def full_disk(stage: ShortStage, rng: random.Random) -> Injected:
    """The disk of the jobs is full for a part of the chain; later a person starts the run again."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    time.sleep(rng.uniform(0, stage.chain_s))
    with processes.full_disk(stage.children, processes.TRAINING, processes.EVALUATION):
        time.sleep(rng.uniform(0.2, 1.0) * stage.chain_s)
    injected = _start_again_if_failed(stage, run_id)
    return replace(injected, hit=injected.detail != "")


# -- data, models, requests ---------------------------------------------------------------------
def poisoned_input(stage: ShortStage, rng: random.Random) -> Injected:
    """A byte of a file of the run is changed; later the run is written again and started again."""
    run_id = stage.new_run_id()
    damaged: list[str] = []

    def damage(files: dict[str, bytes]) -> None:
        name = rng.choice(sorted(name for name in files if name.endswith((".parquet", ".json"))))
        content = bytearray(files[name])
        content[rng.randrange(len(content))] ^= 1 + rng.randrange(255)
        files[name] = bytes(content)
        damaged.append(name)

    stage.write_run(run_id, change=damage)
    stage.settle()
    is_data = damaged[0].endswith(".parquet")
    whole = datetime.now(UTC)
    if stage.is_deployed(run_id):  # right only for a change of the manifest that has no meaning
        whole_since = {run_id: whole} if is_data else {}
        return Injected((run_id,), whole_since=whole_since, detail=f"{damaged[0]}, trained on")
    stage.write_run(run_id, change=lambda files: files.__delitem__(contract.SUCCESS_FILE))
    stage.start_again(run_id)
    stage.settle()
    return Injected((run_id,), whole_since={run_id: whole} if is_data else {}, detail=damaged[0])


def bad_model(stage: ShortStage, rng: random.Random) -> Injected:
    """A model is worse, or its artifact is damaged after the training; the next run repairs that."""
    run_id = stage.new_run_id()
    if rng.random() < 1 / 3:
        stage.write_run(run_id, WORSE)
        stage.settle()
        return Injected((run_id,), is_served=False, detail="worse")
    stage.write_run(run_id)
    bucket, prefix = stage.stage.outputs["artifacts_bucket"], f"{contract.MODELS_PREFIX}{run_id}/training/"
    s3 = stage.stage.client("s3")

    def artifact() -> str | None:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return next((e["Key"] for e in found if e["Key"].endswith(contract.MODEL_ARCHIVE)), None)

    with contextlib.suppress(TimeoutError):
        stage.wait(artifact, "the artifact", PROCESS_TIMEOUT_S)
    time.sleep(rng.uniform(0, stage.chain_s))
    if key := artifact():
        s3.put_object(Bucket=bucket, Key=key, Body=b"damaged")
    stage.settle()
    following = _one_run(stage)
    return Injected((run_id, *following.run_ids), detail="damaged")


def rollback(stage: ShortStage, rng: random.Random) -> Injected:
    """An alarm of the endpoint starts at some moment of the chain, and ends later."""
    run_id = stage.new_run_id()
    cloudwatch = stage.stage.client("cloudwatch")
    names = [each["AlarmName"] for each in cloudwatch.describe_alarms()["MetricAlarms"]]
    alarm = next(name for name in names if "endpoint-rollout-errors" in name)
    stage.write_run(run_id)
    if rng.random() < 2 / 3:  # during the rollout
        before = stage.endpoint()["EndpointConfigName"]

        def has_begun() -> bool:
            found = stage.endpoint()
            return found["EndpointStatus"] != "InService" or found["EndpointConfigName"] != before

        with contextlib.suppress(TimeoutError):
            stage.wait(has_begun, "rollout", PROCESS_TIMEOUT_S)
        time.sleep(rng.uniform(0, MAX_BAKING_S))
    else:
        time.sleep(rng.uniform(0, stage.chain_s))
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="injected")
    stage.settle()
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="injected")
    rolled_back = stage.is_rolled_back(run_id)
    return Injected((run_id,), detail="rolled back" if rolled_back else "too late", hit=rolled_back)


def two_runs_at_once(stage: ShortStage, rng: random.Random) -> Injected:
    """A run becomes complete while another one is on its way."""
    first, second = stage.new_run_id(), stage.new_run_id()
    stage.write_run(first)
    time.sleep(rng.uniform(0, stage.chain_s))
    stage.write_run(second)
    stage.settle()
    return Injected((first, second))


def throttled_calls(stage: ShortStage, rng: random.Random) -> Injected:
    """A share of the requests of all roles is refused; a person repeats what failed."""
    stage.emulator.throttled_share = share = rng.uniform(0, MAX_THROTTLED_SHARE)
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    stage.settle()
    stage.emulator.throttled_share = 0.0
    return _start_again_if_failed(stage, run_id, detail=f"{share:.0%}")


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


def _start_again_if_failed(stage: ShortStage, run_id: str, detail: str = "") -> Injected:
    """A person repeats what failed, once, as the runbook says."""
    stage.settle()
    if not stage.is_deployed(run_id):
        if stage.package_of(run_id) is None:
            stage.start_again(run_id)
            detail += ", started again"
        else:
            launch.deploy(stage, run_id)
            detail += ", deployed again"
        stage.settle()
    return Injected((run_id,), detail=detail.lstrip(", "))


def _killed(stage: ShortStage, rng: random.Random, programs: Sequence[str]) -> Injected:
    """Kill a process of one of the programs, at a random moment of its duration in the baseline."""
    run_id = stage.new_run_id()
    stage.write_run(run_id)
    program = rng.choice(programs)
    process = processes.wait_for(stage.children, (program,), PROCESS_TIMEOUT_S)
    was_running = False
    if process is not None:
        time.sleep(rng.uniform(0, LAST_MOMENT) * stage.step_s.get(program, STEP_S))
        was_running = processes.kill(process)
    detail = program if was_running else f"{program} was not running"
    return replace(_start_again_if_failed(stage, run_id, detail), hit=was_running)


def _first_of(rule: str, how: Sequence[float] | Refused) -> Fault:
    """A fault of the first delivery of a rule."""
    affected: list[str] = []

    def fault(delivery: RuleDelivery) -> Sequence[float] | Refused:
        if rule in delivery.label and not affected:
            affected.append(delivery.label)
            return how
        return (0.0,)

    return fault
