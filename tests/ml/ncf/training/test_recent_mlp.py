from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model.ncf import NCF
from ml.ncf.model.recent import RecentNCF
from ml.ncf.model.recent_statistics import log_count
from ml.ncf.training.plan import plan_text, training_plan
from ml.ncf.training.recent_data import (
    co_visits,
    draw_samples,
    gaps_before,
    statistics_of,
    without_newest,
)
from ml.ncf.training.recent_mlp import EPOCHS
from ml.ncf.training.runner import Trained, run_plan
from ml.ncf.training.training_data import TrainingData
from ml.settings.fields import SettingError
from ml.settings.hyperparameters import Hyperparameters
from tests.ml.ncf.training.small import SMALL, small_data

RECENT = replace(SMALL, architecture="neumf-recent", pretrain=True, refit=True, fused_epochs=0)


def walks(n_users: int = 150, n_items: int = 60, length: int = 12) -> TrainingData:
    """Users who visit an item and then the next ones, from a random start: the order says everything."""
    rng = np.random.default_rng(0)
    starts = rng.integers(n_items, size=n_users)
    items = (np.repeat(starts, length) + np.tile(np.arange(length), n_users)) % n_items
    return last_out(n_users, n_items, length, items)


def last_out(n_users: int, n_items: int, length: int, items: np.ndarray) -> TrainingData:
    """The last item of each user is held out; `items` has those of each user in order."""
    users = np.repeat(np.arange(n_users), length)
    times = np.tile(np.arange(length), n_users)
    is_last = times == length - 1
    train, held_out = (
        Interactions.from_pairs(users[kept], items[kept], n_users, n_items, times[kept])
        for kept in (~is_last, is_last)
    )
    validation = EvaluationSet.sampled(held_out, train.union(held_out), 40, np.random.default_rng(1))
    return TrainingData(train=train, held_out=held_out, validation=validation)


def noise(n_users: int = 150, n_items: int = 60, length: int = 12) -> TrainingData:
    """Users with random items in random order."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.choice(n_items, length, replace=False) for _ in range(n_users)])
    return last_out(n_users, n_items, length, items)


@pytest.fixture(scope="module")
def of_walks() -> Trained:
    return run_plan(training_plan(RECENT), walks())


def test_items_are_counted_in_all_pairs_and_in_the_newest_tenth() -> None:
    items = np.array([0] * 18 + [1, 2])
    pairs = Interactions.from_pairs(np.arange(20), items, n_users=20, n_items=3, times=np.arange(20))
    counts = statistics_of(pairs, pairs, np.random.default_rng(0)).item_counts
    assert torch.equal(counts, log_count(torch.tensor([[18, 0], [1, 1], [1, 1]])))


def test_mlp_is_used_where_the_order_of_the_items_says_what_follows(of_walks: Trained) -> None:
    (note,) = of_walks.notes  # the base model has one part
    assert note.startswith("The MLP over recent items is used, with share")
    fused = next(epoch for epoch in of_walks.epochs if epoch.phase == "fused")
    assert of_walks.best.phase == "recent-mlp"
    assert of_walks.best.ndcg > fused.ndcg + 0.05


def test_model_is_refitted_on_all_pairs_and_its_recent_items_are_the_newest(of_walks: Trained) -> None:
    model, data = of_walks.model, walks()
    assert isinstance(model, RecentNCF)
    assert model.recent[:, 0].tolist() == data.held_out.indices.tolist()


def test_mlp_is_left_out_where_the_order_says_nothing() -> None:
    """One in six gains of noise exceeds its standard error, so that one seed may use the MLP."""
    n_used = 0
    for seed in range(4):
        trained = run_plan(training_plan(replace(RECENT, seed=seed)), noise())
        if isinstance(trained.model, RecentNCF):
            n_used += 1
            continue
        assert isinstance(trained.model, NCF)
        assert trained.notes[0].startswith("The MLP over recent items is left out: it would change")
        assert trained.best.phase == "fused"
    assert n_used <= 1


def test_mlp_is_left_out_without_times() -> None:
    trained = run_plan(training_plan(RECENT), small_data())
    assert isinstance(trained.model, NCF)
    assert trained.notes == ("The MLP over recent items is left out: the times of the pairs are not known.",)


def test_architecture_needs_trained_parts_and_the_refit() -> None:
    with pytest.raises(SettingError, match="architecture"):
        Hyperparameters(architecture="neumf-recent", pretrain=True)


def test_plan_names_the_phase_that_the_mlp_is_added_to() -> None:
    lines = plan_text(training_plan(RECENT)).splitlines()
    (line,) = [each for each in lines if each.startswith("recent-mlp-refit")]
    assert line.endswith("fused-refit")


def test_newest_pairs_are_withheld_but_at_most_a_quarter_of_a_user() -> None:
    users, items = np.repeat([0, 1, 2], [20, 8, 3]), np.arange(31)
    pairs = Interactions.from_pairs(users, items, 3, 31, np.arange(31))
    rest, withheld = without_newest(pairs, 4)
    assert np.flatnonzero(withheld).tolist() == [16, 17, 18, 19, 26, 27]
    assert rest.indices.tolist() == np.flatnonzero(~withheld).tolist()


def test_co_visits_count_pairs_by_their_distance_in_both_directions() -> None:
    # User 0 visits 0, 1, 2 in this order; user 1 visits 1, 2.
    pairs = Interactions.from_pairs(
        np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 2]), 2, 4, np.array([1, 2, 3, 1, 2])
    )
    neighbours, strengths = co_visits(pairs, np.random.default_rng(0))
    assert neighbours[0, :3].tolist() == [1, 2, -1]
    assert strengths[0, :2] == pytest.approx([1 / 7**0.5, 0.5 / 7**0.5])
    assert strengths[1, :2] == pytest.approx([2 / 7**0.5, 1 / 6**0.5])
    assert (neighbours[3] == -1).all()
    assert (strengths[neighbours == -1] == 0).all()


def test_samples_are_withheld_pairs_among_items_that_the_user_does_not_have() -> None:
    data = walks()
    _, withheld = without_newest(data.train, 2)
    samples = draw_samples(data.train, withheld, np.random.default_rng(0))
    assert len(samples.users) == withheld.sum()
    assert samples.n_before.tolist() == [9, 10] * data.train.n_users or set(samples.n_before) == {9, 10}
    for user, items in zip(samples.users, samples.items, strict=True):
        assert items[0] in data.train.of(user)
        assert not np.isin(items[1:], data.train.of(user)).any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_no_negative_of_a_sample_is_newer_than_it(seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    n_users, n_items, length = 20, 30, 10
    items = np.concatenate([rng.choice(n_items, length, replace=False) for _ in range(n_users)])
    times = np.tile(np.arange(length), n_users) + np.repeat(rng.integers(spread + 1, size=n_users), length)
    pairs = Interactions.from_pairs(np.repeat(np.arange(n_users), length), items, n_users, n_items, times)
    _, withheld = without_newest(pairs, 2)
    samples = draw_samples(pairs, withheld, rng)
    first = pairs.first_times()
    time_of = dict(
        zip(zip(pairs.users.tolist(), pairs.indices.tolist(), strict=True), pairs.times, strict=True)
    )
    for user, row in zip(samples.users.tolist(), samples.items, strict=True):
        assert (first[row[1:]] <= time_of[user, row[0]]).all()
        assert not np.isin(row[1:], pairs.of(user)).any()


def test_training_does_not_depend_on_the_validation_pairs() -> None:
    data = walks()
    held_out = replace(data.held_out, indices=(data.held_out.indices + 7) % data.train.n_items)
    validation = EvaluationSet.sampled(held_out, data.train.union(held_out), 40, np.random.default_rng(1))
    other = TrainingData(train=data.train, held_out=held_out, validation=validation)
    plan = [phase for phase in training_plan(replace(RECENT, epochs=1)) if phase.repeats is None]
    # One epoch, half-life and blend weight: nothing is selected before the MLP is trained.
    losses = [
        [
            epoch.loss
            for epoch in run_plan(plan, each, half_lives=(math.inf,), blend_grid=(1.0,)).epochs
            if epoch.phase == "recent-mlp"
        ]
        for each in (data, other)
    ]
    assert len(losses[0]) == EPOCHS
    assert losses[0] == losses[1]


def test_gaps_are_the_seconds_from_earlier_items_to_the_last_one() -> None:
    # User 0 has six items at these times; user 1 has two; user 2 has none.
    times = np.array([0, 100, 130, 150, 155, 160, 7, 9])
    pairs = Interactions.from_pairs(np.array([0] * 6 + [1] * 2), np.arange(8), 3, 8, times)
    whole = gaps_before(pairs, np.arange(3), pairs.counts)
    assert torch.equal(whole, log_count(torch.tensor([[5, 60, 160], [2, 2, 2], [0, 0, 0]])))
    assert torch.equal(statistics_of(pairs, pairs, np.random.default_rng(0)).gaps, whole)
    before = gaps_before(pairs, np.array([0, 0]), np.array([3, 0]))
    assert torch.equal(before, log_count(torch.tensor([[30, 130, 130], [0, 0, 0]])))


@pytest.mark.parametrize("changed_after", [9, 10])
def test_inputs_of_a_sample_do_not_depend_on_what_comes_after_it(changed_after: int) -> None:
    data = walks()
    train = data.train
    later = replace(train, times=train.times + 1000 * (train.times >= changed_after))
    users = np.arange(train.n_users)
    before = np.full(train.n_users, changed_after)
    assert torch.equal(gaps_before(train, users, before), gaps_before(later, users, before))


def test_statistics_do_not_count_withheld_pairs() -> None:
    data = walks()
    fitted, _ = without_newest(data.train, 2)
    statistics = statistics_of(data.train, fitted, np.random.default_rng(0))
    assert torch.expm1(statistics.item_counts[:, 0] / 0.3).round().tolist() == fitted.item_counts().tolist()
