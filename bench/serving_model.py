"""Artifacts for the benchmarks of serving: synthetic interactions with an order in time, and a model of them.

Each user prefers a few categories. A visit either begins with an item of one of them, by popularity (Zipf's
law), or follows the one before: an item a few places further in the category. The newest item of each user is
the test item, the one before is the validation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model import artifact
from ml.ncf.model.base import RankingModel
from ml.ncf.model.recent import RecentNCF
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.session_map import fit_session_map
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters

ROOT = Path(__file__).resolve().parents[1]
TEST_ITEMS_FILE = "test_items.npy"  # (trained users,), beside the files of the artifact
N_CATEGORIES_PER_USER = 8
ITEM_SKEW = 0.9  # exponent of Zipf's law within a category
FOLLOWS = 0.5  # probability that a visit follows the one before
MAX_STEP = 5  # places to the item that follows
PERIOD_S = 90 * 86_400
VALIDATION_LIMIT = 10_000

# Few epochs do not decay the initial values as the 40 of the preset do, so that they are small; histories
# would double the memory of the training.
FEW_EPOCHS = (
    "--epochs",
    "4",
    "--embedding-std",
    "0.005",
    "--history",
    "false",
    "--pointwise-factor-num",
    "0",
)
PRESETS = {
    "gmf": ("--preset", "gmf", "--pretrain", "false"),
    "neumf-recent": ("--preset", "neumf-recent"),
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of the data and of the model; the artifact's further users are copies of the trained ones."""

    users: int
    trained_users: int
    items: int
    interactions: int
    factors: int


def visits(sizes: Sizes, seed: int) -> Interactions:
    """Distinct pairs with times; items without interactions stay in the catalogue."""
    rng = np.random.default_rng(seed)
    n_users, n_items = sizes.trained_users, sizes.items
    n_categories = max(2, round(0.7 * n_items**0.5))
    order = np.argsort(rng.permutation(np.arange(n_items) % n_categories), kind="stable")
    starts = np.linspace(0, n_items, n_categories + 1).astype(np.int64)
    activity = rng.lognormal(sigma=0.8, size=n_users)
    counts = np.maximum(8, activity / activity.sum() * sizes.interactions).astype(np.int64)
    users = np.repeat(np.arange(n_users), counts)
    weight = np.cumsum(np.arange(1, n_categories + 1) ** -0.5)
    preferred = np.searchsorted(weight, rng.random((n_users, N_CATEGORIES_PER_USER)) * weight[-1])
    slot = (rng.random(len(users)) ** 2 * N_CATEGORIES_PER_USER).astype(np.int64)
    size = np.diff(starts)
    popularity = np.cumsum(np.arange(1, size.max() + 1) ** -ITEM_SKEW)
    begins = (np.diff(users, prepend=-1) > 0) | (rng.random(len(users)) >= FOLLOWS)
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]  # the visit that this one follows, at some distance
    steps = np.cumsum(rng.integers(1, MAX_STEP + 1, len(users)))
    category = preferred[users, slot][first]
    drawn = np.searchsorted(popularity, rng.random(len(users)) * popularity[size[category] - 1])
    place = (drawn[first] + steps - steps[first]) % size[category]
    moments = np.sort(users + rng.random(len(users))) - users
    times = (moments * PERIOD_S).astype(np.int64)
    return Interactions.from_pairs(users, order[starts[category] + place], n_users, n_items, times)


def leave_one_out(pairs: Interactions) -> tuple[Interactions, Interactions]:
    """The pairs without the newest of each user, and those."""
    if pairs.recency is None:
        raise ValueError("the times of the pairs are not known")
    is_newest = pairs.recency < 1
    return pairs.where(~is_newest), pairs.where(is_newest)


def write_model(folder: Path, sizes: Sizes, preset: str, flags: Sequence[str]) -> None:
    """Train a model and write its artifact, and the test items."""
    settings = hyperparameters.parse(
        [*PRESETS[preset], *FEW_EPOCHS, "--factor-num", str(sizes.factors), *flags]
    )
    pairs = visits(sizes, seed=7)
    seen, test = leave_one_out(pairs)
    train, held_out = leave_one_out(seen)
    rng = np.random.default_rng(2)
    validation = EvaluationSet.sampled(held_out, pairs, 99, rng, limit=VALIDATION_LIMIT)
    data = TrainingData(train=train, held_out=held_out, validation=validation)
    began = time.perf_counter()
    # Without the refit, which would take as long again.
    plan = [phase for phase in training_plan(settings) if phase.repeats is None]
    trained = run_plan(
        plan, data, on_epoch=lambda epoch, _: print(f"  {epoch.phase} {epoch.metrics}", flush=True)
    )
    print(f"  trained in {time.perf_counter() - began:.0f} s", *trained.notes)
    model = trained.model
    session = fit_session_map(model, train, validation, rng)
    copies = torch.arange(max(sizes.users, pairs.n_users)) % pairs.n_users
    repeat_users(model, copies)
    began = time.perf_counter()
    serving = serving_data(seen, copies.numpy())
    info = {"model_version": "bench", "hyperparameters": settings.as_dict()}
    artifact.write(folder, model, serving, info, ROOT, session=session)
    np.save(folder / TEST_ITEMS_FILE, test.indices)
    print(f"  written in {time.perf_counter() - began:.1f} s, the index included")


@torch.no_grad()
def repeat_users(model: RankingModel, copies: torch.Tensor) -> None:
    """Replace the users of a model by the given ones, in place."""
    base = model.base if isinstance(model, RecentNCF) else model
    for table in base.user_tables():
        table.weight = torch.nn.Parameter(table.weight[copies])
    if isinstance(model, RecentNCF):
        model.recent, model.user_counts = model.recent[copies], model.user_counts[copies]
        model.gaps = model.gaps[copies]
        base.config = replace(base.config, n_users=len(copies))
    model.config = replace(model.config, n_users=len(copies))


def serving_data(seen: Interactions, copies: NDArray[np.int64]) -> artifact.ServingData:
    """The data of the artifact: user n has the seen items of `copies[n]`."""
    indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(seen.counts[copies])])
    repeats = -(-len(copies) // seen.n_users)
    return artifact.ServingData.of(
        user_ids=np.array([f"u{n}" for n in range(len(copies))]),
        item_ids=np.array([f"i{n}" for n in range(seen.n_items)]),
        seen_indptr=indptr,
        seen_indices=np.tile(seen.indices, repeats)[: indptr[-1]],
        popularity=seen.item_counts(),
    )
