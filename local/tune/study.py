"""Search with optuna: trials in an SQLite file, each scored on the validation split only.

A search goes on where it ended, also after a crash: its name in the file is made of the data, the values
that it starts from and the code of the training. What it found is confirmed with other seeds before it is
proposed, because the best of many trials on the same validation pairs owes part of its lead to chance.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from local.tune.space import Space, space_of
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.jobs.train import check_trainable, training_data
from ml.ncf.training.loop import TrainingError
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.settings import hyperparameters
from ml.settings.fields import Scalar
from ml.settings.hyperparameters import Hyperparameters

IS_START = "is_start"  # attribute of the trial with the values that the search starts from
CONFIRMATION_SEEDS = (1, 2)  # added to the seed of the search
TRAINING_CODE = ("ml/ncf", "ml/settings")  # packages of which a trial is made
TRAINING_LIBRARIES = ("torch", "numpy")
Values = Mapping[str, Scalar]  # hyperparameter to value, as in a stage's config
Report = Callable[[str], None]


def settings_of(values: Values, seed: int) -> Hyperparameters:
    """Hyperparameters of a stage's values.

    Raises:
        ml.settings.fields.SettingError: a value is out of its range.
    """
    flags = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    return hyperparameters.parse([*flags, "--seed", str(seed)])


def validation_ndcg(run: PreparedRun, values: Values, seed: int) -> float:
    """NDCG of a training on the validation split; nothing is trained on train and validation together.

    Raises:
        ml.ncf.data.interactions.DataError: the run cannot be trained on.
        TrainingError: the training diverged.
    """
    settings = settings_of(values, seed)
    check_trainable(run, settings)
    plan = [phase for phase in training_plan(settings) if phase.repeats is None]
    return run_plan(plan, training_data(run, settings)).best.ndcg


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Result of a search.

    Attributes:
        values: values of the hyperparameters: the best ones, or those that the search started from.
        is_better: whether they are better than those with other seeds too.
        ndcg: mean validation NDCG of the best trial's values over the confirmation seeds.
        start_ndcg: the same of the values that the search started from.
        n_trials: trials that have ended, in this search and in those that it continues.
    """

    values: Values
    is_better: bool
    ndcg: float
    start_ndcg: float
    n_trials: int


class Search:
    """A search around the values of a stage."""

    def __init__(
        self, run: PreparedRun, start: Values, *, seed: int, storage: Path, code: str, report: Report
    ) -> None:
        """Open the search, or create it with the starting values as its first trial.

        Args:
            run: with train and validation.
            start: values to start from, with `preset`.
            seed: seed of the trainings and of the sampler.
            storage: SQLite file.
            code: digest of the code of the training (`code_digest`): trials of other code are not continued.
            report: called with each line for people.
        """
        self._run = run
        self._start = start
        self._seed = seed
        self._report = report
        settings = settings_of(start, seed)
        self._space: Space = space_of(settings, run.n_items)
        storage.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url = f"sqlite:///{storage.resolve()}"
        name = _name(run, start, settings, self._space, code)
        self.study = optuna.create_study(
            study_name=name, storage=url, direction="maximize", load_if_exists=True
        )
        for trial in self._trials(TrialState.RUNNING):  # of a process that was killed
            self.study.tell(trial.number, state=TrialState.FAIL)
        if not any(
            IS_START in trial.user_attrs for trial in self._trials(TrialState.COMPLETE, TrialState.WAITING)
        ):
            self._enqueue(settings)
        # With the same seed, a search that goes on would draw its first values again.
        sampler_seed = seed + len(self.study.trials)
        self.study.sampler = optuna.samplers.TPESampler(seed=sampler_seed, multivariate=True)

    def run(self, minutes: float) -> Proposal:
        """Run trials for some minutes, at least one in all, then confirm the best; no training is cut off.

        Raises:
            ml.ncf.data.interactions.DataError: the run cannot be trained on.
            TrainingError: every training diverged.
        """
        end = time.monotonic() + 60 * minutes
        if done := self._trials(TrialState.COMPLETE):
            self._report(f"continues a search with {len(done)} trials, best NDCG@10 {self._best().value:.4f}")
        else:
            self._optimize(n_trials=1)
        self._optimize(timeout=max(0.0, end - time.monotonic()))
        return self._proposal()

    def _optimize(self, *, n_trials: int | None = None, timeout: float | None = None) -> None:
        self.study.optimize(
            self._objective,
            n_trials=n_trials,
            timeout=timeout,
            catch=(TrainingError,),
            callbacks=[self._show],
        )

    def _enqueue(self, settings: Hyperparameters) -> None:
        """Make the starting values the next trial."""
        values = settings.as_dict()
        given = {name: values[name] for name in self._space}
        self.study.enqueue_trial(given, user_attrs={IS_START: True})

    def _objective(self, trial: optuna.Trial) -> float:
        found = {name: each.suggest(trial, name) for name, each in self._space.items()}
        values = self._start if IS_START in trial.user_attrs else {**self._start, **found}
        trial.set_user_attr("values", dict(values))
        began = time.perf_counter()
        ndcg = validation_ndcg(self._run, values, self._seed)
        trial.set_user_attr("seconds", time.perf_counter() - began)
        return ndcg

    def _show(self, study: optuna.Study, trial: FrozenTrial) -> None:
        del study
        changed = ", ".join(f"{name} {value:g}" for name, value in trial.params.items())
        if trial.value is None:
            self._report(f"trial {trial.number}: diverged: {changed}")
            return
        what = "the values to start from" if IS_START in trial.user_attrs else changed
        best = self._best()
        self._report(
            f"trial {trial.number}: NDCG@10 {trial.value:.4f} in {trial.user_attrs['seconds']:.0f} s "
            f"(best: {best.value:.4f}, trial {best.number}): {what}"
        )

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(states=states)

    def _best(self) -> FrozenTrial:
        return self.study.best_trial

    def _proposal(self) -> Proposal:
        done = self._trials(TrialState.COMPLETE)
        if not done:
            raise TrainingError("every training diverged, also with the values that the search started from")
        best: Values = self._best().user_attrs["values"]
        start_ndcg = self._confirmed(self._start, "the values to start from")
        ndcg = start_ndcg if best == self._start else self._confirmed(best, "the best trial")
        is_better = ndcg > start_ndcg
        return Proposal(
            values=best if is_better else self._start,
            is_better=is_better,
            ndcg=ndcg,
            start_ndcg=start_ndcg,
            n_trials=len(done),
        )

    def _confirmed(self, values: Values, what: str) -> float:
        """Mean NDCG over the confirmation seeds; kept in the file of the search."""
        key = "confirmed " + json.dumps(dict(values), sort_keys=True)
        if key not in self.study.user_attrs:
            self._report(f"confirming {what} with {len(CONFIRMATION_SEEDS)} other seeds")
            found = [validation_ndcg(self._run, values, self._seed + offset) for offset in CONFIRMATION_SEEDS]
            self.study.set_user_attr(key, fmean(found))
        return float(self.study.user_attrs[key])


def code_digest(root: Path) -> str:
    """Digest of what a trial's result depends on beside data and hyperparameters: its code and libraries.

    Args:
        root: root of the source tree.
    """
    digest = hashlib.sha256(" ".join(metadata.version(name) for name in TRAINING_LIBRARIES).encode())
    for folder in TRAINING_CODE:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            digest.update(f"\n{name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()


def _name(run: PreparedRun, start: Values, settings: Hyperparameters, space: Space, code: str) -> str:
    """Name of the search: the same for the same data, starting values, ranges and code.

    `settings` are all hyperparameters at the start, with the seed.
    """
    digest = hashlib.sha256()
    for split, pairs in sorted(run.splits.items()):
        digest.update(split.encode())
        digest.update(pairs.indptr.tobytes() + pairs.indices.tobytes())
        for values in (pairs.times, pairs.weights):
            digest.update(b"" if values is None else values.tobytes())
    described: dict[str, Any] = {
        "start": dict(start),
        "settings": settings.as_dict(),
        "space": repr(space),
        "code": code,
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    return f"{start.get('preset', 'lotteon')}-{digest.hexdigest()[:16]}"
