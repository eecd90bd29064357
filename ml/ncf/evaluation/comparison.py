"""Models on the same held-out pairs: metrics, paired differences, intervals, and all of them per segment.

Shapes: C held-out pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.ncf.evaluation import bootstrap
from ml.ncf.evaluation.segments import Segment

CANDIDATE, CHAMPION, CHANGE = "model", "champion", "change"  # keys in reports
PairValues = Mapping[str, Tensor]  # metric to its value for each pair (C,), whose mean is the metric


@dataclass(frozen=True, eq=False)
class Comparison:
    """Values of models for the same pairs.

    Attributes:
        users: (C,) user of each pair.
        values: by model, then by metric.
        seed: of the bootstrap.
    """

    users: NDArray[np.int64]
    values: Mapping[str, PairValues]
    seed: int

    def report(self) -> dict[str, Any]:
        """Metrics by model, `change` from champion to candidate, and `intervals` of all of them.

        Without a champion there is no change.
        """
        return {
            **self.means(),
            "intervals": {name: self._intervals(of) for name, of in self._with_change().items()},
        }

    def means(self) -> dict[str, dict[str, float]]:
        """Metrics by model, and `change` if there is a champion."""
        return {
            name: {key: each.mean().item() for key, each in of.items()}
            for name, of in self._with_change().items()
        }

    def changes(self) -> PairValues:
        """Candidate minus champion for each pair; empty without a champion."""
        if CHAMPION not in self.values:
            return {}
        champion = self.values[CHAMPION]
        return {key: each - champion[key] for key, each in self.values[CANDIDATE].items()}

    def by_segment(self, segments: Sequence[Segment]) -> dict[str, Any]:
        """The report of each segment's pairs, with its number of pairs; only that if it has none."""
        found = {}
        for segment in segments:
            mask = segment.contains(self.users)
            described = {"known_items": segment.known_items, "n_pairs": int(mask.sum())}
            found[segment.name] = described | (self._subset(mask).report() if mask.any() else {})
        return found

    def _with_change(self) -> dict[str, PairValues]:
        changes = self.changes()
        return {**self.values, **({CHANGE: changes} if changes else {})}

    def _subset(self, mask: NDArray[np.bool_]) -> Comparison:
        chosen = torch.from_numpy(mask)
        values = {name: {key: each[chosen] for key, each in of.items()} for name, of in self.values.items()}
        return Comparison(self.users[mask], values, self.seed)

    def _intervals(self, values: PairValues) -> dict[str, list[float]]:
        # The same seed for each model, so that models with equal values have equal intervals.
        rng = np.random.default_rng(self.seed)
        columns = np.stack([each.double().numpy() for each in values.values()], axis=1)
        means = bootstrap.resampled_means(self.users, columns, rng)
        return {key: bootstrap.interval(means[:, column]) for column, key in enumerate(values)}
