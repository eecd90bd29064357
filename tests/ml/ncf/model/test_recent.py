from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.model import artifact, registry
from ml.ncf.model.base import Features
from ml.ncf.model.item_index import ItemIndex, inner_products
from ml.ncf.model.ncf import NCF
from ml.ncf.model.ranked import Ranked
from ml.ncf.model.recent import RecentNCF
from ml.ncf.model.recent_candidates import DECAYS, CoVisited
from ml.ncf.model.recent_statistics import RecentStatistics, log_count
from ml.ncf.model.registry import build
from ml.ncf.model.retrieval import SHORTLIST, best_items
from ml.ncf.model.session import Session, SessionMap
from ml.ncf.model.towers import NCFConfig

ROOT = Path(__file__).resolve().parents[4]
N_USERS, N_ITEMS, N_NEIGHBOURS, N_RECENT = 6, 12, 3, 4


@pytest.fixture
def model() -> RecentNCF:
    """With random weights, neighbours and recent items; user 5 has no recent item."""
    torch.manual_seed(3)
    generator = np.random.default_rng(3)
    neighbours = np.stack([generator.permutation(N_ITEMS)[:N_NEIGHBOURS] for _ in range(N_ITEMS)])
    neighbours[0, 1:] = -1
    strengths = np.where(neighbours >= 0, generator.random(neighbours.shape), 0.0)
    recent = np.stack([generator.permutation(N_ITEMS)[:N_RECENT] for _ in range(N_USERS)])
    recent[1, 2:] = recent[5] = -1
    statistics = RecentStatistics(
        neighbours=torch.from_numpy(neighbours.astype(np.int32)),
        strengths=torch.from_numpy(strengths.astype(np.float32)),
        recent=torch.from_numpy(recent.astype(np.int32)),
        item_counts=torch.rand(N_ITEMS, 2),
        user_counts=torch.rand(N_USERS),
        gaps=torch.rand(N_USERS, 3),
    )
    base = NCF(NCFConfig(n_users=N_USERS, n_items=N_ITEMS, architecture="gmf", factor_num=5))
    built = RecentNCF.of(base, statistics)
    built.input_mean = torch.rand(len(built.input_mean))
    return built.eval()


def test_co_visits_are_the_sums_of_their_definition(model: RecentNCF) -> None:
    items = torch.stack([torch.randperm(2 * N_ITEMS) % N_ITEMS for _ in range(N_USERS)])  # each item twice
    found = model.co_visits(model.recent.long(), items)
    for row in range(N_USERS):
        for column, item in enumerate(items[row].tolist()):
            for pool, decay in enumerate(DECAYS):
                expected = sum(
                    decay**age * float(strength)
                    for age, recent in enumerate(model.recent[row].tolist())
                    if recent >= 0
                    for neighbour, strength in zip(
                        model.neighbours[recent].tolist(), model.strengths[recent], strict=True
                    )
                    if neighbour == item
                )
                assert found[row, column, pool].item() == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def test_pairs_and_catalogue_have_the_same_logits(model: RecentNCF) -> None:
    users, everything = torch.arange(N_USERS), torch.arange(N_ITEMS)
    catalogue = model.score_catalogue(users)
    assert torch.allclose(model(users, everything.expand(N_USERS, -1)), catalogue, atol=1e-5)
    assert torch.allclose(model(users, users), catalogue[users, users], atol=1e-5)
    one = model.user_features(torch.tensor([4]))
    assert torch.allclose(model.pairs(one, model.item_features(everything)), catalogue[4], atol=1e-5)
    without_batch = tuple(each[0] for each in one)
    assert torch.allclose(
        model.pairs(without_batch, model.item_features(everything)), catalogue[4], atol=1e-5
    )
    assert not torch.allclose(catalogue, model.base.score_catalogue(users), atol=1e-3)


@torch.no_grad()
def test_untrained_mlp_adds_nothing(model: RecentNCF) -> None:
    model.initialise_layers(np.random.default_rng(0))
    users = torch.arange(N_USERS)
    assert torch.equal(model.score_catalogue(users), model.base.score_catalogue(users))


@torch.no_grad()
def test_rebuilt_model_has_the_same_logits(model: RecentNCF) -> None:
    rebuilt = registry.build(model.family, model.config.as_dict())
    rebuilt.load_state_dict(model.state_dict())
    users = torch.arange(N_USERS)
    assert torch.equal(rebuilt.eval().score_catalogue(users), model.score_catalogue(users))


@torch.no_grad()
def test_items_of_a_session_are_newer_than_those_of_the_training(model: RecentNCF) -> None:
    session_map = SessionMap(8.0, (torch.eye(5),))
    session = Session(torch.tensor([9, 2]), torch.ones(2), user=1, n_known=2)
    features = model.session_features(session, session_map)
    assert features is not None
    assert features[-2].tolist() == [[2, 9, *model.recent[1, :2].tolist()]]
    assert features[-1][0, 0].item() == pytest.approx(log_count(torch.tensor(4)).item())
    assert torch.equal(features[-1][0, 1:], model.input_mean[7:10])  # as of an average sample
    new = model.session_features(Session(torch.tensor([9]), torch.ones(1)), session_map)
    assert new is not None
    assert new[-2].tolist() == [[9, -1, -1, -1]]
    assert model.cross(new, model.item_features(torch.arange(N_ITEMS))).shape == (1, N_ITEMS)


def test_co_visited_items_of_users_have_the_co_visits_of_the_model(model: RecentNCF) -> None:
    users = torch.tensor([5, 1, 5, 0, 2])  # without recent items, with two, with four
    recent = model.recent[users].long()
    found = CoVisited.of(model.neighbours, model.strengths, recent)
    expected = model.co_visits(recent, torch.arange(N_ITEMS).expand(len(users), -1)).flatten(0, 1).numpy()
    sums = np.zeros_like(expected)
    sums[found.keys] = found.of_pairs(np.arange(len(found.keys)))
    np.testing.assert_allclose(sums, expected, atol=1e-6)
    neighbours = {
        row * N_ITEMS + item
        for row, items in enumerate(recent.tolist())
        for each in items
        for item in model.neighbours[each].tolist()
        if each >= 0 and item >= 0
    }
    assert found.keys.tolist() == sorted(neighbours)
    assert found.best().tolist() == (sums[found.keys] > 0).any(1).tolist()


@pytest.mark.parametrize("n", [1, 4])  # the last item has three neighbours
def test_best_co_visited_items_have_the_most_co_visits_of_a_decay(model: RecentNCF, n: int) -> None:
    recent = model.recent[[3, 5, 2]].long()
    found = CoVisited.of(model.neighbours, model.strengths, recent)
    co_visits = model.co_visits(recent, torch.arange(N_ITEMS).expand(3, -1)).numpy()  # (B, I, P)
    expected = {
        row * N_ITEMS + item
        for row in range(3)
        for of_decay in co_visits[row].T
        for item in np.argsort(-of_decay)[:n].tolist()
        if of_decay[item] > 0
    }
    assert set(found.keys[found.best(n_per_decay=n)].tolist()) == expected


def retrieved(model: RecentNCF, seed: int = 0) -> tuple[Features, list[Ranked], list[np.ndarray]]:
    """Features of users in random order, some items of each with their inner products, and excluded ones."""
    rng = np.random.default_rng(seed)
    features = model.user_features(torch.from_numpy(rng.integers(0, N_USERS, 8)))
    products = model.base.cross(features[:-2], model.base.catalogue_features()).numpy()
    found, excluded = [], []
    for of_user in products:
        items, hidden = np.split(rng.permutation(N_ITEMS)[: rng.integers(3, 8)], [3])
        found.append((items, of_user[items]))
        excluded.append(np.sort(hidden))
    return features, found, excluded


@torch.no_grad()
def test_candidates_are_the_found_items_and_neighbours_with_their_logits(model: RecentNCF) -> None:
    features, found, excluded = retrieved(model)
    catalogue = model.cross(features, model.item_features(torch.arange(N_ITEMS))).numpy()
    co_visited = model.co_visits(features[-2], torch.arange(N_ITEMS).expand(8, -1)).numpy().any(-1)
    for row, (items, logits) in enumerate(model.rescored(features, found, excluded)):
        neighbours = set(np.flatnonzero(co_visited[row]).tolist()) - set(excluded[row].tolist())
        assert sorted(items.tolist()) == sorted(neighbours | set(found[row][0].tolist()))
        np.testing.assert_allclose(logits, catalogue[row, items], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_candidates_of_a_user_do_not_depend_on_the_other_users(model: RecentNCF, seed: int) -> None:
    features, found, excluded = retrieved(model, seed)
    for row, (items, logits) in enumerate(model.rescored(features, found, excluded)):
        part = slice(row, row + 1)
        ((alone, of_alone),) = model.rescored(
            tuple(each[part] for each in features), found[part], excluded[part]
        )
        assert (items.tolist(), logits.tolist()) == (alone.tolist(), of_alone.tolist())


def test_item_outside_the_catalogue_is_refused(model: RecentNCF) -> None:
    with pytest.raises(IndexError, match=f"item {N_ITEMS} of {N_ITEMS}"):
        inner_products(model, torch.ones(1, 5), np.array([[0, -1, N_ITEMS]]))


@torch.no_grad()
def test_retrieval_finds_an_item_that_only_the_mlp_ranks_high() -> None:
    n_items = SHORTLIST + 200
    torch.manual_seed(4)
    base = NCF(NCFConfig(n_users=1, n_items=n_items, architecture="gmf", factor_num=5))
    lowest = base.score_catalogue(torch.tensor([0]))[0].argsort()[:3]
    statistics = RecentStatistics(
        neighbours=lowest.int().expand(n_items, -1),
        strengths=torch.ones(n_items, 3),
        recent=torch.tensor([[1, -1]], dtype=torch.int32),
        item_counts=torch.zeros(n_items, 2),
        user_counts=torch.zeros(1),
        gaps=torch.zeros(1, 3),
    )
    model = RecentNCF.of(base, statistics).eval()
    for layer in model.layers:
        if isinstance(layer, torch.nn.Linear):
            layer.weight.zero_()
            layer.weight[0, 0] = 100.0  # the co-visits with the last item
    index = ItemIndex.build(model, min_items=1)
    features, excluded = model.user_features(torch.tensor([0])), np.sort(lowest[:1].numpy())
    (found, _), (exact, _) = (best_items(model, each, features, [excluded], 10)[0] for each in (index, None))
    assert set(found[:2].tolist()) == set(lowest[1:].tolist())
    assert found.tolist() == exact.tolist()


@torch.no_grad()
def test_artifact_alone_gives_the_same_logits(model: RecentNCF, tmp_path: Path) -> None:
    data = artifact.ServingData.of(
        user_ids=np.array([f"u{user}" for user in range(N_USERS)]),
        item_ids=np.array([f"i{item}" for item in range(N_ITEMS)]),
        seen_indptr=np.zeros(N_USERS + 1, dtype=np.int64),
        seen_indices=np.empty(0, dtype=np.int32),
        popularity=np.ones(N_ITEMS, dtype=np.int64),
    )
    artifact.write(tmp_path, model, data, {"model_version": "1"}, ROOT)
    loaded = artifact.read(tmp_path).model
    assert loaded is not None
    users = torch.arange(N_USERS)
    assert torch.equal(loaded.score_catalogue(users), model.score_catalogue(users))


@torch.no_grad()
def test_artifact_of_earlier_versions_without_gaps_is_read(model: RecentNCF, tmp_path: Path) -> None:
    statistics = {name: getattr(model, name) for name in ("neighbours", "strengths", "recent")}
    counts = {"item_counts": model.item_counts, "user_counts": model.user_counts}
    without = RecentNCF.of(model.base, RecentStatistics(**statistics, **counts, gaps=torch.zeros(N_USERS, 0)))
    weights = without.state_dict()
    assert "gaps" not in weights
    config = {name: value for name, value in without.config.as_dict().items() if name != "n_gaps"}
    earlier = build(RecentNCF.family, config)
    earlier.load_state_dict(weights)
    users = torch.arange(N_USERS)
    assert torch.equal(earlier.eval().score_catalogue(users), without.eval().score_catalogue(users))


@torch.no_grad()
def test_logits_depend_on_the_gaps_of_the_user(model: RecentNCF) -> None:
    users = torch.arange(N_USERS)
    before = model.score_catalogue(users)
    model.gaps[2] += 1.0
    changed = (model.score_catalogue(users) != before).any(1)
    assert changed.tolist() == [user == 2 for user in range(N_USERS)]


@pytest.fixture(scope="module")
def indexed() -> tuple[RecentNCF, ItemIndex]:
    """A model of 600 items with random weights and neighbours, and its index of three segments."""
    torch.manual_seed(6)
    n_items, rng = 600, np.random.default_rng(6)
    statistics = RecentStatistics(
        neighbours=torch.from_numpy(
            rng.permuted(np.tile(np.arange(n_items), (n_items, 1)), axis=1)[:, :40]
        ).int(),
        strengths=torch.rand(n_items, 40),
        recent=torch.from_numpy(rng.integers(-1, n_items, (N_USERS, N_RECENT))).int(),
        item_counts=torch.rand(n_items, 2),
        user_counts=torch.rand(N_USERS),
        gaps=torch.rand(N_USERS, 3),
    )
    base = NCF(NCFConfig(n_users=N_USERS, n_items=n_items, architecture="gmf", factor_num=8))
    model = RecentNCF.of(base, statistics).eval()
    index = ItemIndex.build(model, min_items=1, first_segment=100)
    assert index is not None
    return model, index


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    k=st.sampled_from([1, 10, 300, 700]),
    n_excluded=st.sampled_from([0, 5, 300, 595, 600]),
)
def test_list_has_k_distinct_allowed_items_by_their_logits(
    indexed: tuple[RecentNCF, ItemIndex], seed: int, k: int, n_excluded: int
) -> None:
    model, index = indexed
    rng = np.random.default_rng(seed)
    users = torch.from_numpy(rng.permutation(N_USERS))
    excluded = [np.sort(rng.choice(600, n_excluded, replace=False)) for _ in users]
    with torch.inference_mode():
        catalogue = model.score_catalogue(users).numpy()
        found = best_items(model, index, model.user_features(users), excluded, k, users=users)
    for (items, logits), hidden, exact in zip(found, excluded, catalogue, strict=True):
        assert len(items) == min(k, 600 - n_excluded) == len(set(items.tolist()))
        assert not set(items.tolist()) & set(hidden.tolist())
        assert (np.diff(logits) <= 0).all()
        np.testing.assert_allclose(logits, exact[items], rtol=1e-4, atol=1e-4)
