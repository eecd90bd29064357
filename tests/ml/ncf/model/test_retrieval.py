"""Retrieval: the search by norms gives the lists of exhaustive scoring, and refuses damaged files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.model import artifact, index_files
from ml.ncf.model.ids import IdMap
from ml.ncf.model.ncf import NCF
from ml.ncf.model.retrieval import NormIndex, best_items
from ml.ncf.model.serving_data import ArtifactError
from ml.ncf.model.towers import NCFConfig

N_USERS, N_ITEMS = 7, 400


def network(seed: int = 0, *, spread: float = 2.0, architecture: str = "gmf") -> NCF:
    """A model whose items have log-normal norms, as after training on skewed popularity."""
    generator = torch.Generator().manual_seed(seed)
    config = NCFConfig(
        n_users=N_USERS, n_items=N_ITEMS, architecture=architecture, factor_num=8, mlp_factor_num=4
    )
    model = NCF(config).eval()
    with torch.no_grad():
        for table in (model.gmf.user_input.embedding, model.gmf.item_embedding):
            table.weight.normal_(generator=generator)
        model.gmf.item_embedding.weight *= torch.exp(spread * torch.randn(N_ITEMS, 1, generator=generator))
    return model


def listed(
    model: NCF, index: NormIndex | None, users: torch.Tensor, excluded: list, k: int
) -> tuple[list, list]:
    """Items and scores of each user."""
    ranked = best_items(model, index, model.user_features(users), excluded, k, users=users)
    return [items for items, _ in ranked], [scores for _, scores in ranked]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 0.5, 2.0]),
    k=st.sampled_from([1, 10, 390, 1000]),
    min_head=st.sampled_from([1, 40, N_ITEMS]),
    n_excluded=st.sampled_from([0, 5, 395, N_ITEMS]),
)
def test_search_gives_the_lists_of_exhaustive_scoring(
    seed: int, spread: float, k: int, min_head: int, n_excluded: int
) -> None:
    model, rng = network(seed, spread=spread), np.random.default_rng(seed)
    index = NormIndex.build(model, min_items=1, min_head=min_head)
    users = torch.arange(N_USERS)
    excluded = [np.sort(rng.choice(N_ITEMS, n_excluded, replace=False)).astype(np.int32) for _ in users]
    with torch.inference_mode():
        found, scores = listed(model, index, users, excluded, k)
        wanted, exact = listed(model, None, users, excluded, k)
        alone = [listed(model, index, users[n : n + 1], excluded[n : n + 1], k)[0][0] for n in range(3)]
    for n in range(N_USERS):
        assert len(found[n]) == min(k, N_ITEMS - n_excluded) == len(set(found[n].tolist()))
        assert not set(found[n].tolist()) & set(excluded[n].tolist())
        np.testing.assert_allclose(scores[n], exact[n], rtol=1e-4, atol=1e-4)
        assert (np.diff(scores[n]) <= 1e-4).all()
        assert len(set(found[n].tolist()) ^ set(wanted[n].tolist())) <= 2  # ties in the last bits
    assert [each.tolist() for each in alone] == [found[n].tolist() for n in range(3)]


def test_skewed_norms_end_the_scan_before_the_head_ends() -> None:
    index = NormIndex.build(network(spread=2.0), min_items=1, min_head=N_ITEMS)
    queries = network(spread=2.0).user_features(torch.arange(N_USERS))[0].detach()
    shortened = NormIndex(index.order, index.position, index.norms, index.head[: N_ITEMS // 2])
    _, is_exact = shortened.search(queries, [np.empty(0, dtype=np.int32)] * N_USERS, 5)
    assert is_exact.any()


def test_mlp_ranks_the_items_with_the_best_inner_products() -> None:
    model = network(architecture="neumf")
    users = torch.arange(N_USERS)
    nothing = [np.empty(0, dtype=np.int32)] * N_USERS
    with torch.inference_mode():
        found = listed(model, NormIndex.build(model, min_items=1), users, nothing, 10)
        wanted = listed(model, None, users, nothing, 10)
    for n in range(N_USERS):
        np.testing.assert_allclose(found[1][n], wanted[1][n], rtol=1e-4, atol=1e-4)


def test_small_catalogue_has_no_index() -> None:
    assert NormIndex.build(network()) is None


@pytest.mark.parametrize("name", ["head.npy", "order.npy"])
def test_damaged_index_is_refused_and_its_file_named(tmp_path: Path, name: str) -> None:
    description = index_files.write(tmp_path, NormIndex.build(network(), min_items=1))
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


def test_index_of_another_format_is_refused(tmp_path: Path) -> None:
    description = index_files.write(tmp_path, NormIndex.build(network(), min_items=1))
    with pytest.raises(ArtifactError, match="index: format 2; this code reads 1"):
        index_files.read(tmp_path, description | {"format": 2}, N_ITEMS)


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
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    new = artifact.read(model_dir)
    write_old_arrays(folder, new.data)
    shutil.rmtree(folder / "arrays")
    old = artifact.read(folder)
    assert old.data.item_ids.tolist() == new.data.item_ids.tolist()
    assert old.data.user_ids.find("u5") == new.data.user_ids.find("u5")
    assert old.retrieval is None
    np.testing.assert_array_equal(old.data.by_popularity, new.data.by_popularity)


def test_damaged_array_is_refused_and_its_file_named(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    path = folder / "arrays/popularity.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ArtifactError, match=r"arrays/popularity.npy: cannot be read"):
        artifact.read(folder)
