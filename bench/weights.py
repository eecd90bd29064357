"""Benchmark of event weights: how well purchases are ranked with and without weights in the loss.

    python bench/weights.py --seeds 3 --json out.json

The data are generated: views, carts and purchases of users with two-sided latent tastes (16 dimensions).

* Exposure of items follows Zipf's law. A user views items in proportion to exposure x exp(0.5 x taste): most
  views say little about taste.
* A viewed item is put into the cart with probability sigmoid(2 x taste - 2.5), and an item in the cart is
  bought with probability sigmoid(2 x taste - 1).

The weights are 1 for a view, 3 for a cart and 10 for a purchase. Each user's newest purchase is the test, the
one before it the validation, among 99 items that the user never viewed. Whether weights are used is chosen
by validation NDCG@10; the test rows are scored once per training. Flags of the training job are passed on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation import baselines, metrics
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings import hyperparameters
from ml.settings.metrics import CUTOFF

N_USERS, N_ITEMS, N_FACTORS = 2000, 1000, 16
VIEWS = 40  # per user, on average
N_NEGATIVES = 99
VIEW, CART, PURCHASE = 1.0, 3.0, 10.0


def events(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, items and weights of the viewed pairs, those of a user in the order of time: (n,) each."""
    exposure = rng.permutation(1.0 / np.arange(1, N_ITEMS + 1) ** 0.8)
    taste = rng.normal(size=(N_USERS, N_FACTORS)) @ rng.normal(size=(N_ITEMS, N_FACTORS)).T / N_FACTORS**0.5
    users, items = [], []
    for user in range(N_USERS):
        weight = exposure * np.exp(0.5 * taste[user])
        n_views = min(N_ITEMS // 2, 8 + rng.poisson(VIEWS - 8))
        items.append(rng.choice(N_ITEMS, n_views, replace=False, p=weight / weight.sum()))
        users.append(np.full(n_views, user))
    user, item = np.concatenate(users), np.concatenate(items)
    of_pair = taste[user, item]
    in_cart = rng.random(len(user)) < 1 / (1 + np.exp(2.5 - 2 * of_pair))
    bought = in_cart & (rng.random(len(user)) < 1 / (1 + np.exp(1 - 2 * of_pair)))
    return user, item, np.where(bought, PURCHASE, np.where(in_cart, CART, VIEW)).astype(np.float32)


def splits(seed: int) -> tuple[TrainingData, EvaluationSet, Interactions]:
    """Training data, the test purchases among negatives, and all pairs but those of the test."""
    user, item, weight = events(np.random.default_rng([seed, 0]))
    bought = np.flatnonzero(weight == PURCHASE)
    later = np.bincount(user[bought], minlength=N_USERS)  # purchases of the user that are not older
    place = later[user[bought]] - (np.arange(len(bought)) - np.searchsorted(user[bought], user[bought]))
    role = np.zeros(len(user), dtype=int)
    has_two = later[user[bought]] >= 2
    role[bought[has_two & (place == 1)]] = 2
    role[bought[has_two & (place == 2)]] = 1
    train, held_out, test = (
        Interactions.from_pairs(
            user[role == each], item[role == each], N_USERS, N_ITEMS, weights=weight[role == each]
        )
        for each in range(3)
    )
    seen = train.union(held_out, test)
    validation, ranked = (
        EvaluationSet.sampled(part, seen, N_NEGATIVES, np.random.default_rng([seed, number]))
        for number, part in enumerate((held_out, test), start=1)
    )
    return TrainingData(train=train, held_out=held_out, validation=validation), ranked, train.union(held_out)


def one_training(seed: int, *, event_weights: bool, flags: Sequence[str]) -> dict[str, Any]:
    """Validation and test metrics of one training."""
    data, test, known = splits(seed)
    given = ["--preset", "gmf", *flags, "--seed", str(seed), "--event-weights", str(event_weights).lower()]
    trained = run_plan(training_plan(hyperparameters.parse(given)), data)
    popularity = metrics.quality(baselines.popularity(known, test), CUTOFF)
    return {
        "seed": seed,
        "event_weights": event_weights,
        "validation_ndcg": trained.best.ndcg,
        **metrics.quality(test.scores(trained.model), CUTOFF),
        "popularity": popularity,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/weights.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3, help="data sets and trainings, with seeds 1, 2, ...")
    parser.add_argument("--json", type=Path, help="file for the result")
    arguments, flags = parser.parse_known_args(argv)
    trainings = [
        one_training(seed, event_weights=used, flags=flags)
        for seed in range(1, arguments.seeds + 1)
        for used in (False, True)
    ]
    for used in (False, True):
        chosen = [each for each in trainings if each["event_weights"] is used]
        means = {
            name: fmean(each[name] for each in chosen)
            for name in ("validation_ndcg", "hr_at_10", "ndcg_at_10")
        }
        print(f"weights {'on' if used else 'off'}: " + ", ".join(f"{k} {v:.4f}" for k, v in means.items()))
    print(f"popularity: {trainings[0]['popularity']}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(trainings, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
