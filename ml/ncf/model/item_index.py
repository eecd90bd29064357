"""Index of the items for maximum-inner-product search: quantised vectors in segments of descending norm.

No inner product with the items of a segment exceeds the product of the query's norm with the greatest norm of
the segment (Cauchy-Schwarz; Teflioudi et al. 2015, LEMP, section 3), so the search ends at the first segment
that cannot improve a list. Within a segment, faiss finds a shortlist by the product-quantised vectors
(André et al. 2015, PQ Fast Scan), and the exact inner products decide.

Shapes: B users, I items, S segments, F factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.model.base import RankingModel
from ml.ncf.model.ranked import Ranked, best

MIN_ITEMS = 20_000  # in a smaller catalogue one matrix product takes about as long as the search
FIRST_SEGMENT = 32_768  # items; each segment is twice as long as the one before
FINE_FACTORS = 128  # with fewer factors each has a code, otherwise each pair of factors
CODE_BITS = 4  # of a code: the 16 centroids of a subquantiser fit into a register
TRAINING_ITEMS = 20_000  # per segment, from which the quantiser is trained
SHORTLIST = 256  # items per segment with exact inner products, in addition to the excluded ones
SHORTLIST_PER_ITEM = 2  # of the length of the list
BOUND_SLACK = 1e-5  # of the bound: rounding of the inner products in float32


def require_library(n_items: int, min_items: int = MIN_ITEMS) -> None:
    """Check that an index of a catalogue can be built.

    Raises:
        ValueError: the catalogue is large, and faiss cannot be imported.
    """
    if n_items < min_items:
        return
    try:
        import faiss  # noqa: F401, PLC0415
    except ImportError as error:
        raise ValueError(
            f"{n_items} items need an index, and faiss cannot be imported ({error}): create the code bundle "
            "with --wheels (ci/bundle.py)"
        ) from error


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Items by descending norm of their vectors, with one faiss index per segment."""

    order: NDArray[np.int32]  # (I,)
    max_norms: tuple[float, ...]  # (S,), greatest norm of a segment
    segments: tuple[Any, ...]  # (S,), faiss.IndexPQFastScan

    @classmethod
    def build(
        cls, model: RankingModel, min_items: int = MIN_ITEMS, first_segment: int = FIRST_SEGMENT
    ) -> ItemIndex | None:
        """The index of a model; None if the catalogue is small or the model has no vectors."""
        n_items = model.config.n_items
        if n_items < min_items:
            return None
        with torch.inference_mode():
            vectors = model.item_vectors()
            if vectors is None:
                return None
            norms = torch.linalg.vector_norm(vectors, dim=1).numpy()
            order = np.argsort(-norms, kind="stable").astype(np.int32)
            starts, segments = [], []
            for start, end in _segments(n_items, first_segment):
                starts.append(start)
                segments.append(_quantised(vectors[torch.from_numpy(order[start:end].astype(np.int64))]))
        return cls(order, tuple(norms[order[starts]].tolist()), tuple(segments))

    def search(
        self,
        model: RankingModel,
        queries: Tensor,
        excluded: Sequence[NDArray],
        k: int,
        *,
        shortlist: int | None = None,
    ) -> list[Ranked]:
        """The k items of each user with the greatest inner products, the excluded ones left out.

        The result of a user does not depend on the other users of the call.

        Args:
            model: has the exact vectors.
            queries: (B, F).
            excluded: items that each user does not get, ascending.
            k: length of a list.
            shortlist: items per segment with exact inner products, in addition to the excluded ones; None: as
                many as k items with nearly the greatest inner products need.

        Returns:
            Items and inner products, greatest first; fewer than k if the catalogue has no more.
        """
        if shortlist is None:
            shortlist = max(SHORTLIST, SHORTLIST_PER_ITEM * k)
        lists: list[Ranked] = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)) for _ in excluded]
        limits = torch.linalg.vector_norm(queries, dim=1).numpy() * (1 + BOUND_SLACK)  # (B,)
        active = list(range(len(excluded)))
        start = 0
        for segment, max_norm in zip(self.segments, self.max_norms, strict=True):
            active = [n for n in active if len(lists[n][1]) < k or lists[n][1][-1] < limits[n] * max_norm]
            for rows, places in _shortlists(segment, queries, active, excluded, shortlist):
                found = np.where(places >= 0, self.order[start + places], -1).astype(np.int64)
                exact = inner_products(model, queries[rows], found)
                for row, items, products in zip(rows, found, exact, strict=True):
                    allowed = (items >= 0) & ~_is_among(items, excluded[row])
                    before, of_before = lists[row]
                    lists[row] = best(
                        np.concatenate([before, items[allowed]]),
                        np.concatenate([of_before, products[allowed]]),
                        k,
                    )
            start += segment.ntotal
        return lists


def inner_products(model: RankingModel, queries: Tensor, items: NDArray[np.int64]) -> NDArray[np.float32]:
    """Inner products of queries (B, F) with the vectors of items (B, n): (B, n); -inf where the item is -1.

    The vectors are read in place: a copy of them takes longer than the products.
    """
    import faiss  # noqa: PLC0415 -- only large catalogues need the library

    vectors = model.item_vectors()
    if vectors is None:
        raise TypeError(f"{type(model).__name__} has an index and no item vectors")
    if items.size and items.max() >= len(vectors):  # faiss would read outside the vectors
        raise IndexError(f"item {items.max()} of {len(vectors)}")
    products = np.empty(items.shape, dtype=np.float32)
    given = (products, _contiguous(queries), _contiguous(vectors), np.ascontiguousarray(items, np.int64))
    pointers = [faiss.swig_ptr(each) for each in given]
    of_pairs = faiss.fvec_inner_products_by_idx  # type: ignore[attr-defined]  # the stubs lack it
    of_pairs(*pointers, vectors.shape[1], *items.shape)
    return products


def _segments(n_items: int, first: int) -> Iterator[tuple[int, int]]:
    """Start and end of each segment; a remainder of less than half a segment belongs to the one before."""
    start, size = 0, first
    while start < n_items:
        end = n_items if start + 1.5 * size >= n_items else start + size
        yield start, end
        start, size = end, 2 * size


def _quantised(vectors: Tensor) -> Any:
    """Index of vectors (n, F); factors are padded with zeros to a multiple of a code's factors."""
    import faiss  # noqa: PLC0415 -- only large catalogues need the library

    n_factors = vectors.shape[1]
    n_codes = n_factors if n_factors < FINE_FACTORS else -(-n_factors // 2)
    width = n_codes if n_factors < FINE_FACTORS else 2 * n_codes
    padded = _padded(vectors, width)
    index = faiss.IndexPQFastScan(width, n_codes, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    step = max(1, len(padded) // TRAINING_ITEMS)
    index.train(padded[::step])
    index.add(padded)
    return index


def _padded(vectors: Tensor, width: int) -> NDArray[np.float32]:
    return torch.nn.functional.pad(vectors, (0, width - vectors.shape[1])).float().numpy()


def _shortlists(
    segment: Any, queries: Tensor, active: Sequence[int], excluded: Sequence[NDArray], shortlist: int
) -> Iterator[tuple[list[int], NDArray[np.int64]]]:
    """Active users with places in the segment, -1: none; users with shortlists of equal length together."""
    groups: dict[int, list[int]] = {}
    for row in active:
        wanted = shortlist + len(excluded[row])
        # Powers of two: few groups, and the length of a user's list does not depend on the other users.
        groups.setdefault(min(1 << (wanted - 1).bit_length(), segment.ntotal), []).append(row)
    for length, rows in groups.items():
        yield rows, segment.search(_padded(queries[rows], segment.d), length)[1]


def _is_among(items: NDArray[np.int64], excluded: NDArray) -> NDArray[np.bool_]:
    """Whether each item is among the excluded ones (ascending)."""
    if not len(excluded):
        return np.zeros(len(items), dtype=bool)
    place = np.searchsorted(excluded, items).clip(max=len(excluded) - 1)
    return np.equal(excluded[place], items)


def _contiguous(values: Tensor) -> NDArray[np.float32]:
    """The values for faiss, which reads float32 in rows; without a copy if they are."""
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float32)
