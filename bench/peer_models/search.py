"""Search of a recommender's hyperparameters on validation, and its final training; both can be resumed.

A folder per recommender holds `trial-N.json`, then `final.json` and `final.npy`, the scores (U, I) of the
final training. What is there is not done again: the test rows are ranked with one training only.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bench.peer_models.job import Job
from bench.peer_models.registry import PEERS
from ml.settings.metrics import CUTOFF

ROOT = Path(__file__).resolve().parents[2]
NDCG = f"ndcg_at_{CUTOFF}"
TRIAL_SHARE = 0.5  # of the budget, that one trial may use
RunJob = Callable[[Job], None]


class JobFailed(RuntimeError):  # noqa: N818 -- the reason why a recommender is left out of the table
    """A job ended with an error; the message has its last lines."""


def in_process(interpreter: Path, n_threads: int) -> RunJob:
    """`RunJob` that runs jobs in a new process of an interpreter, with a number of threads."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(n_threads))

    def run(job: Job) -> None:
        output = Path(job.output)
        described = output.with_suffix(".job")
        described.write_text(json.dumps(asdict(job)), encoding="utf-8")
        command = [str(interpreter), "-W", "ignore", "-m", "bench.peer_models", str(described)]
        environment = {**os.environ, **threads, "PYTHONPATH": str(ROOT)}
        with output.with_suffix(".log").open("w+", encoding="utf-8") as log:
            # RecBole writes to its working directory.
            status = subprocess.run(
                command, cwd=output.parent, env=environment, stdout=log, stderr=log, check=False
            ).returncode
            log.seek(0)
            last = log.read().strip().splitlines()[-3:]
        if status:
            raise JobFailed(f"{job.peer}: exit status {status}: {' | '.join(last)}")

    return run


@dataclass(frozen=True, kw_only=True)
class Search:
    """Search and final training of one recommender.

    Attributes:
        peer: name in the registry.
        folder: for the results.
        tuning_rows: .npz of the train split and the validation pairs.
        final_rows: .npz of train and validation.
        fixed: values that are not searched.
        budget_s: CPU seconds of all trials together.
        max_trials: limit of the trials.
        seed: seed of the trials' values and of all trainings.
        run_job: runs a job.
    """

    peer: str
    folder: Path
    tuning_rows: Path
    final_rows: Path
    fixed: Mapping[str, Any]
    budget_s: float
    max_trials: int
    seed: int
    run_job: RunJob

    def trials(self) -> list[dict[str, Any]]:
        """Results of the trials that have ended."""
        paths = sorted(self.folder.glob("trial-*.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def final(self) -> dict[str, Any] | None:
        """Result of the final training, if it has ended."""
        path = self.folder / "final.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def run(self, may_start: Callable[[], bool]) -> bool:
        """Run what is missing, for as long as another job may start; returns whether nothing is missing.

        Raises:
            JobFailed: a training ended with an error.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.final() is not None:
            return True
        for number, values in enumerate(combinations(PEERS[self.peer].space, self.seed)):
            done = self.trials()
            used_s = sum(each["cpu_seconds"] for each in done)
            if number >= self.max_trials or used_s >= self.budget_s:
                break
            if number < len(done):
                continue
            if not may_start():
                return False
            self._run(f"trial-{number:03}", values, self.budget_s - used_s)
        if not may_start():
            return False
        self._run_final()
        return True

    def best(self) -> dict[str, Any] | None:
        """The trial with the highest validation NDCG; None if nothing was searched."""
        return max(self.trials(), key=lambda each: each["validation"][NDCG], default=None)

    def _run(self, name: str, values: Mapping[str, Any], left_s: float) -> None:
        limit_s = min(left_s, TRIAL_SHARE * self.budget_s)
        self.run_job(self._job(name, values, self.tuning_rows, is_trial=True, cpu_limit_s=limit_s))
        found = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        print(
            f"{self.peer} {name}: validation NDCG@{CUTOFF} {found['validation'][NDCG]:.4f} after "
            f"{found['epochs']} epochs, {found['cpu_seconds']:.1f} s of CPU, {json.dumps(found['values'])}",
            flush=True,
        )

    def _run_final(self) -> None:
        best = self.best()
        values = best["values"] if best else self.fixed
        epochs = best["epochs"] if best else None
        job = self._job("final", values, self.final_rows, is_trial=False, epochs=epochs)
        self.run_job(job)
        print(f"{self.peer} final training: {json.dumps(self.final())}", flush=True)

    def _job(
        self,
        name: str,
        values: Mapping[str, Any],
        rows: Path,
        *,
        is_trial: bool,
        epochs: int | None = None,
        cpu_limit_s: float = 0.0,
    ) -> Job:
        return Job(
            peer=self.peer,
            rows=str(rows.resolve()),
            values=dict(values),
            seed=self.seed,
            is_trial=is_trial,
            epochs=epochs,
            cpu_limit_s=cpu_limit_s,
            output=str((self.folder / f"{name}.json").resolve()),
        )


def combinations(space: Mapping[str, Sequence[Any]], seed: int) -> Iterator[dict[str, Any]]:
    """The first value of each hyperparameter, then the other combinations, each once, in random order."""
    if not space:
        return
    rng = np.random.default_rng(seed)
    n_all = int(np.prod([len(each) for each in space.values()]))
    tried = {tuple([0] * len(space))}
    yield {name: each[0] for name, each in space.items()}
    for _ in count():
        if len(tried) == n_all:
            return
        chosen = tuple(int(rng.integers(len(each))) for each in space.values())
        if chosen not in tried:
            tried.add(chosen)
            yield {name: each[at] for (name, each), at in zip(space.items(), chosen, strict=True)}
