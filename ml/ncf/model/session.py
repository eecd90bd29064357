"""Features of a user from the recent items of a session, without training (ADR 28).

The input vector of a trained user is close to a linear function of the pooled vectors of the user's items:
with histories it is nearly one by construction (SVD++'s Σ w_j y_j). `SessionMap` holds that function, fitted
on the trained users (`ml.ncf.training.session_map`). A session is pooled in the same way, so that a new user
gets a vector, and the vector of a known user is moved.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ml.ncf.model.finite import require_finite

DEFAULT_HALF_LIFE = 16.0


@dataclass(frozen=True, eq=False)
class SessionMap:
    """Linear maps from pooled item vectors to the input vectors of a user, one per tower.

    Attributes:
        half_life: number of newer items after which an item weighs half as much.
        maps: (D, D) per tower: pooled item vectors (B, D) @ map are input vectors (B, D).
    """

    half_life: float
    maps: tuple[Tensor, ...]

    def write(self, path: Path) -> None:
        """Write the file of the artifact; equal maps give equal bytes."""
        buffer = io.BytesIO()  # torch.save writes the name of a file into it, and a buffer has none
        torch.save({"half_life": self.half_life, "maps": [each.contiguous() for each in self.maps]}, buffer)
        path.write_bytes(buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> SessionMap:
        """Load the file of the artifact.

        Raises:
            OSError, RuntimeError, KeyError, ValueError: it is missing, damaged or not finite.
        """
        content = torch.load(path, map_location="cpu", weights_only=True)
        maps = tuple(content["maps"])
        for each in maps:
            require_finite(each, "maps of sessions")
        return cls(float(content["half_life"]), maps)


@dataclass(frozen=True, eq=False)
class Session:
    """Recent items of one user, oldest first.

    Attributes:
        items: (m,) item indices, at least one.
        weights: (m,) weights relative to each other, and to 1 for an item of the training.
        user: index of the user; None: the user is new.
        n_known: number of items that the user had in training.
    """

    items: Tensor
    weights: Tensor
    user: int | None = None
    n_known: int = 0

    def pooling(self, half_life: float) -> tuple[float, Tensor]:
        """Factor of the user's trained vector, and the weight of each recent item (m,).

        As in training, the weights of n items have the sum n^1/2 (Koren 2008, equation 15), in proportion to
        2^(-age / half_life), where age is the number of newer items. The recent items are the newest.
        """
        m, n = len(self.items), self.n_known if self.user is not None else 0
        ages = torch.arange(m - 1, -1, -1, dtype=torch.float32)
        relevance = self.weights * torch.exp2(-ages / half_life)
        known = _relevance_of(n, half_life) * 2.0 ** (-m / half_life)
        total = float(relevance.sum()) + known
        kept = known / total * math.sqrt((n + m) / n) if n else 0.0
        return kept, relevance / total * math.sqrt(n + m)


def _relevance_of(n: int, half_life: float) -> float:
    """Sum of 2^(-age / half_life) over the ages 0 to n - 1: a geometric series."""
    if math.isinf(half_life):
        return float(n)
    ratio = 2.0 ** (-1.0 / half_life)
    return (1.0 - ratio**n) / (1.0 - ratio)
