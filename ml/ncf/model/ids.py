"""Ids of users or items by index, and their index by id, in four arrays that can be memory-mapped.

No Python object exists per id, and a long id takes no more than its own bytes: the UTF-8 text of all ids is
concatenated, and an index is found by binary search over sorted 64-bit hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HASH_BYTES = 8


@dataclass(frozen=True, eq=False)
class IdMap:
    """N ids: their text, and where to find each by its hash."""

    text: NDArray[np.uint8]  # UTF-8 of all ids, concatenated
    offsets: NDArray[np.int64]  # (N + 1,): id n is text[offsets[n]:offsets[n + 1]]
    hashes: NDArray[np.uint64]  # (N,), ascending
    order: NDArray[np.int32]  # (N,): hashes[j] is the hash of id order[j]

    @classmethod
    def of(cls, ids: Iterable[str]) -> IdMap:
        """The map of ids in the order of their indices."""
        texts = [str(each).encode() for each in ids]
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        hashes = np.fromiter(map(_hash, texts), dtype=np.uint64, count=len(texts))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return cls(
            text=np.frombuffer(b"".join(texts), dtype=np.uint8),
            offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)]),
            hashes=hashes[order],
            order=order,
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> IdMap:
        """The inverse of `arrays`.

        Raises:
            ValueError: the arrays contradict each other.
        """
        found = cls(**{field.name: arrays[field.name] for field in fields(cls)})
        n = len(found.order)
        if not len(found.offsets) - 1 == len(found.hashes) == n or found.offsets[-1] != len(found.text):
            raise ValueError("the text, offsets, hashes and order of the ids have different sizes")
        return found

    def arrays(self) -> dict[str, NDArray]:
        """The four arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> str:
        return self.text[self.offsets[index] : self.offsets[index + 1]].tobytes().decode()

    def find(self, text: str) -> int | None:
        """Index of an id; None if it is unknown."""
        (index,) = self.find_all([text])
        return None if index < 0 else int(index)

    def find_all(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Index of each id, -1 if it is unknown: (n,)."""
        encoded = [each.encode(errors="surrogatepass") for each in texts]
        hashes = np.fromiter(map(_hash, encoded), dtype=np.uint64, count=len(encoded))
        starts = np.searchsorted(self.hashes, hashes)
        found = zip(encoded, hashes, starts.tolist(), strict=True)
        return np.fromiter((self._at(*each) for each in found), dtype=np.int64, count=len(encoded))

    def _at(self, text: bytes, hashed: np.uint64, position: int) -> int:
        """Index of the id whose hash is at a position or, if hashes collide, at one of the next."""
        while position < len(self.hashes) and self.hashes[position] == hashed:
            index = int(self.order[position])
            if self.text[self.offsets[index] : self.offsets[index + 1]].tobytes() == text:
                return index
            position += 1
        return -1

    def tolist(self) -> list[str]:
        """All ids as Python objects."""
        text, ends = self.text.tobytes(), self.offsets.tolist()
        return [text[start:end].decode() for start, end in pairwise(ends)]


def _hash(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=HASH_BYTES).digest(), "little")
