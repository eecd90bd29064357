"""Interface of the recommenders, and what they are trained on.

Shapes: P pairs, U users, I items, B users scored at once, K items per user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Values = Mapping[str, Any]  # hyperparameter to its value


@dataclass(frozen=True, eq=False)
class Rows:
    """Known user-item pairs, those of a user in the order of time, oldest first."""

    users: NDArray[np.int64]  # (P,), ascending
    items: NDArray[np.int64]  # (P,)
    n_users: int
    n_items: int

    @property
    def ends(self) -> NDArray[np.int64]:
        """Row offsets of the users, (U + 1,): the pairs of user u are `ends[u]` to `ends[u + 1]`."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.users, minlength=self.n_users))])


class Scorer(Protocol):
    """A trained model. An item that the model does not know gets -inf."""

    def catalogue(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of users (B,) for all items: (B, I)."""

    def ranked(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of users (B,) for their items (B, K): (B, K)."""


class CatalogueScorer:
    """`Scorer` of a function that scores all items."""

    def __init__(self, catalogue: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
        self.catalogue = catalogue

    def ranked(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Scores of users (B,) for their items (B, K): (B, K)."""
        return np.take_along_axis(self.catalogue(users), items, axis=1)


AfterEpoch = Callable[[Scorer], float]  # validation metric after an epoch; raises `OutOfTime`


class OutOfTime(Exception):  # noqa: N818 -- not an error
    """Raised by `AfterEpoch` to end a training whose time is used up."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of a recommender.

    Attributes:
        values: values of the hyperparameters.
        seed: seed of all random numbers.
        workspace: an empty folder for files of the library.
        epochs: passes over the rows; None: until validation has not improved for some epochs. A model
            without epochs ignores it.
        after_epoch: called after each epoch, if `epochs` is None.
    """

    values: Values
    seed: int
    workspace: Path
    epochs: int | None
    after_epoch: AfterEpoch | None


class Peer(Protocol):
    """A recommender."""

    def train(self, rows: Rows, training: Training) -> Scorer:
        """Train on the known pairs."""
