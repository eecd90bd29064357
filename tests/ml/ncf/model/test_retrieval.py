"""Retrieval: lists of the index, their invariants, and damaged files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.model import artifact, index_files, item_index
from ml.ncf.model.ids import IdMap
from ml.ncf.model.item_index import ItemIndex
from ml.ncf.model.ncf import NCF
from ml.ncf.model.retrieval import best_items
from ml.ncf.model.serving_data import ArtifactError
from ml.ncf.model.towers import NCFConfig
from tests.ml.ncf.model.earlier import without_checksums

N_USERS, N_ITEMS = 7, 2000
NOTHING = np.empty(0, dtype=np.int32)


def network(seed: int = 0, *, spread: float = 0.5, architecture: str = "gmf", factors: int = 8) -> NCF:
    """A model whose items have log-normal norms, as after training on skewed popularity."""
    generator = torch.Generator().manual_seed(seed)
    config = NCFConfig(
        n_users=N_USERS, n_items=N_ITEMS, architecture=architecture, factor_num=factors, mlp_factor_num=4
    )
    model = NCF(config).eval()
    with torch.no_grad():
        for table in (model.gmf.user_input.embedding, model.gmf.item_embedding):
            table.weight.normal_(generator=generator)
        model.gmf.item_embedding.weight *= torch.exp(spread * torch.randn(N_ITEMS, 1, generator=generator))
    return model


MODEL = network()
INDEX = ItemIndex.build(MODEL, min_items=1, first_segment=300)


def listed(
    model: NCF, index: ItemIndex | None, users: torch.Tensor, excluded: list, k: int
) -> tuple[list, list]:
    """Items and scores of each user."""
    with torch.inference_mode():
        ranked = best_items(model, index, model.user_features(users), excluded, k, users=users)
    return [items for items, _ in ranked], [scores for _, scores in ranked]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    k=st.sampled_from([1, 10, 300, N_ITEMS - 5, 3000]),
    n_excluded=st.sampled_from([0, 5, 300, N_ITEMS - 5, N_ITEMS]),
)
def test_list_has_k_distinct_allowed_items_by_their_exact_scores(seed: int, k: int, n_excluded: int) -> None:
    rng = np.random.default_rng(seed)
    users = torch.from_numpy(rng.permutation(N_USERS))
    excluded = [np.sort(rng.choice(N_ITEMS, n_excluded, replace=False)).astype(np.int64) for _ in users]
    found, scores = listed(MODEL, INDEX, users, excluded, k)
    for items, of_items, user, hidden in zip(found, scores, users, excluded, strict=True):
        assert len(items) == min(k, N_ITEMS - n_excluded) == len(set(items.tolist()))
        assert not set(items.tolist()) & set(hidden.tolist())
        assert (np.diff(of_items) <= 0).all()
        with torch.inference_mode():
            exact = MODEL(user.repeat(len(items)), torch.from_numpy(items)).numpy()
        np.testing.assert_allclose(of_items, exact, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_list_of_a_user_does_not_depend_on_the_other_users_of_the_request(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = torch.arange(N_USERS)
    sizes = rng.integers(0, 400, N_USERS)
    excluded = [np.sort(rng.choice(N_ITEMS, size, replace=False)).astype(np.int64) for size in sizes]
    together, _ = listed(MODEL, INDEX, users, excluded, 10)
    for n in range(N_USERS):
        (alone,), _ = listed(MODEL, INDEX, users[n : n + 1], [excluded[n]], 10)
        assert alone.tolist() == together[n].tolist()


@pytest.mark.parametrize("factors", [7, 8, 129])
def test_lists_are_those_of_exhaustive_scoring(factors: int) -> None:
    model = network(1, factors=factors)
    index = ItemIndex.build(model, min_items=1, first_segment=1000)
    users = torch.arange(N_USERS)
    found, _ = listed(model, index, users, [NOTHING] * N_USERS, 10)
    wanted, _ = listed(model, None, users, [NOTHING] * N_USERS, 10)
    same = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(found, wanted, strict=True)]
    assert sum(same) >= 0.95 * 10 * N_USERS


def test_segments_that_cannot_improve_a_list_are_not_searched() -> None:
    model = network(spread=2.0)
    index = ItemIndex.build(model, min_items=1, first_segment=300)
    first = ItemIndex(index.order, index.max_norms[:1], index.segments[:1])
    users = torch.arange(N_USERS)
    queries = model.query(model.user_features(users)).detach()
    with torch.inference_mode():
        of_all = index.search(model, queries, [NOTHING] * N_USERS, 5)
        of_first = first.search(model, queries, [NOTHING] * N_USERS, 5)
    # Norms decide here: the best items of most users are among the 300 with the greatest norms.
    same = [a.tolist() == b.tolist() for (a, _), (b, _) in zip(of_all, of_first, strict=True)]
    assert sum(same) > N_USERS // 2

    class NotSearched:
        ntotal = N_ITEMS - 300

        def search(self, *_: object) -> None:
            raise AssertionError("searched")

    bounded = ItemIndex(index.order, (index.max_norms[0], 0.0), (index.segments[0], NotSearched()))
    with torch.inference_mode():
        bounded.search(model, queries, [NOTHING] * N_USERS, 5)


def test_mlp_ranks_the_items_with_the_best_inner_products() -> None:
    model = network(architecture="neumf")
    users = torch.arange(N_USERS)
    index = ItemIndex.build(model, min_items=1, first_segment=500)
    found = listed(model, index, users, [NOTHING] * N_USERS, 10)
    wanted = listed(model, None, users, [NOTHING] * N_USERS, 10)
    for n in range(N_USERS):
        np.testing.assert_allclose(found[1][n], wanted[1][n], rtol=1e-4, atol=1e-4)


def test_small_catalogue_has_no_index() -> None:
    assert ItemIndex.build(network()) is None


def test_large_catalogue_without_faiss_is_refused_before_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    item_index.require_library(N_ITEMS)
    monkeypatch.setitem(sys.modules, "faiss", None)
    item_index.require_library(N_ITEMS)
    with pytest.raises(
        ValueError, match=r"2000 items need an index, and faiss cannot be imported .*--wheels"
    ):
        item_index.require_library(N_ITEMS, min_items=N_ITEMS)


@pytest.mark.parametrize("name", ["segment-1.faiss", "order.npy"])
def test_damaged_index_is_refused_and_its_file_named(tmp_path: Path, name: str) -> None:
    description = index_files.write(tmp_path, INDEX)
    assert len(index_files.read(tmp_path, description, N_ITEMS).order) == N_ITEMS
    path = tmp_path / "index" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"index/{name}: damaged"):
        index_files.read(tmp_path, description, N_ITEMS)
    path.unlink()
    with pytest.raises(ArtifactError, match=f"index/{name}: cannot be read"):
        index_files.read(tmp_path, description, N_ITEMS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "index: format 3; this code reads 2"),
        (
            {"library": {"name": "faiss", "version": "1.0.0"}},
            r"index: written by faiss 1\.0\.0, and .* is installed",
        ),
        ({"library": {}}, r"index: cannot be read: KeyError\('version'\)"),
    ],
)
def test_index_of_another_format_or_library_version_is_refused(
    tmp_path: Path, change: dict, message: str
) -> None:
    description = index_files.write(tmp_path, INDEX)
    with pytest.raises(ArtifactError, match=message):
        index_files.read(tmp_path, description | change, N_ITEMS)


def test_index_read_from_its_files_gives_the_same_lists(tmp_path: Path) -> None:
    read = index_files.read(tmp_path, index_files.write(tmp_path, INDEX), N_ITEMS)
    users, nothing = torch.arange(N_USERS), [NOTHING] * N_USERS
    found, wanted = listed(MODEL, read, users, nothing, 10)[0], listed(MODEL, INDEX, users, nothing, 10)[0]
    assert [each.tolist() for each in found] == [each.tolist() for each in wanted]


def test_index_by_norms_of_an_earlier_artifact_is_left_out(tmp_path: Path) -> None:
    assert index_files.read(tmp_path, {"format": 1, "sha256": {}}, N_ITEMS) is None


def test_library_is_imported_from_the_code_of_the_artifact(tmp_path: Path) -> None:
    index_files.copy_library(tmp_path)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import faiss; print(faiss.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(str(tmp_path))


@given(st.lists(st.text(max_size=20), unique=True, max_size=30), st.lists(st.text(max_size=20), max_size=5))
def test_id_map_finds_each_id_and_no_other(ids: list[str], others: list[str]) -> None:
    ids = [each for each in ids if each.isprintable()]
    known = IdMap.from_arrays(IdMap.of(ids).arrays())
    assert known.tolist() == ids == [known[n] for n in range(len(ids))]
    wanted = [ids.index(each) if each in ids else -1 for each in [*ids, *others]]
    assert known.find_all([*ids, *others]).tolist() == wanted


def test_colliding_hashes_are_told_apart_by_their_text() -> None:
    known = IdMap.of(["a", "b", "c"])
    same = IdMap(known.text, known.offsets, np.full(3, known.hashes[0]), known.order)
    assert "abc"[int(known.order[0])] in "abc"
    first = "abc"[int(known.order[0])]
    assert same.find(first) == known.find(first)


def test_long_id_does_not_widen_the_others() -> None:
    known = IdMap.of(["x" * 512, *map(str, range(100))])
    assert len(known.text) == 512 + 190
    assert known.find("x" * 512) == 0


def write_old_arrays(folder: Path, data: artifact.ServingData) -> None:
    """The arrays as artifacts had them before: one compressed file."""
    np.savez_compressed(
        folder / "arrays.npz",
        user_ids=np.array(data.user_ids.tolist()),
        item_ids=np.array(data.item_ids.tolist()),
        seen_indptr=data.seen_indptr,
        seen_indices=data.seen_indices,
        popularity=data.popularity,
    )


def test_artifact_of_an_earlier_version_is_loaded(model_dir: Path, tmp_path: Path) -> None:
    folder = without_checksums(model_dir, tmp_path / "model")
    new = artifact.read(model_dir)
    write_old_arrays(folder, new.data)
    shutil.rmtree(folder / "arrays")
    old = artifact.read(folder)
    assert old.data.item_ids.tolist() == new.data.item_ids.tolist()
    assert old.data.user_ids.find("u5") == new.data.user_ids.find("u5")
    assert old.retrieval is None
    np.testing.assert_array_equal(old.data.by_popularity, new.data.by_popularity)


def test_damaged_array_is_refused_and_its_file_named(model_dir: Path, tmp_path: Path) -> None:
    folder = without_checksums(model_dir, tmp_path / "model")
    path = folder / "arrays/popularity.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match=r"arrays/popularity.npy: cannot be read"):
        artifact.read(folder)
