"""The test split of a prepared run under both protocols, and what the models of a comparison make of it.

Sampled protocol (He et al. 2017, section 4.1): the held-out item of each user among 99 items, drawn uniformly
with a fixed seed from those that the user has in no split. Whole catalogue: among all items that the user has
in neither train nor validation. Both take a seeded sample of the pairs if there are very many.

Shapes: C held-out pairs, I items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.contract import N_TEST_NEGATIVES
from ml.ncf.data.interactions import Interactions
from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation import baselines, bootstrap, catalogue, metrics
from ml.ncf.evaluation.catalogue import CatalogueResult, CatalogueSet
from ml.ncf.evaluation.comparison import Comparison
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.expected_metrics import expected_values
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.evaluation.new_users import SESSION_LENGTH, session_scores
from ml.ncf.evaluation.segments import segments_of
from ml.ncf.model.artifact import Artifact
from ml.settings.metrics import CUTOFF

MAX_PAIRS = 200_000  # of the sampled protocol: standard error of HR 0.001
MAX_NEW_USERS = 500  # who are ranked one by one: standard error of HR 0.02
CATALOGUE_STREAM, NEW_USERS_STREAM = 1, 2  # of the seed; the negatives have the seed alone


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of the held-out items under one model, from 0; None: not evaluated under that protocol."""

    sampled: Tensor  # (C,)
    catalogue: CatalogueResult | None = None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out pairs of a run under both protocols."""

    run: PreparedRun
    known: Interactions  # train and validation
    sampled: EvaluationSet
    catalogue: CatalogueSet
    seed: int

    @classmethod
    def of(cls, run: PreparedRun, seed: int) -> HeldOut:
        """The pairs of the test split, or a sample of them, and the sampled negatives.

        Raises:
            ml.ncf.data.interactions.DataError: no user has an unseen item.
        """
        known = run.splits["train"].union(run.splits["validation"])
        return cls(
            run=run,
            known=known,
            sampled=EvaluationSet.sampled(
                run.splits["test"],
                run.seen(),
                N_TEST_NEGATIVES,
                np.random.default_rng(seed),
                limit=MAX_PAIRS,
            ),
            catalogue=CatalogueSet.sampled(
                run.splits["test"], known, np.random.default_rng([seed, CATALOGUE_STREAM])
            ),
            seed=seed,
        )

    # -- ranking --------------------------------------------------------------------------------

    def rank(self, model: MatchedModel) -> Ranks:
        """Ranks under a model.

        Raises:
            ml.ncf.model.finite.NotFiniteError: a score of the model is not finite.
        """
        return Ranks(
            metrics.rank_of_first(model.scores(self.sampled)),
            self.catalogue.rank(model.catalogue_scores, CUTOFF),
        )

    def rank_by_popularity(self) -> Ranks:
        """Ranks by the number of known pairs of each item."""
        counts = torch.from_numpy(self.known.item_counts()).double()
        return Ranks(
            metrics.rank_of_first(baselines.popularity(self.known, self.sampled)),
            self.catalogue.rank(lambda users: counts.repeat(len(users), 1), CUTOFF),
        )

    def rank_by_item_knn(self) -> Ranks | None:
        """Ranks of item-kNN in the sampled protocol; None if it would take longer than about a minute."""
        if not baselines.is_affordable(self.known):
            return None
        scores = baselines.ItemKNN.fit(self.known).scores(self.sampled)
        return Ranks(metrics.rank_of_first(scores))

    # -- reports --------------------------------------------------------------------------------

    def expected_comparison(self, ranks: Mapping[str, Ranks]) -> Comparison:
        """Values per pair in expectation over the sampled negatives, for the quality gate."""
        n_others = self.catalogue.n_others
        values = {
            name: expected_values(of.catalogue.ranks, n_others, N_TEST_NEGATIVES, CUTOFF)
            for name, of in ranks.items()
            if of.catalogue is not None
        }
        return Comparison(self.catalogue.users, values, self.seed)

    def sampled_report(self, ranks: Mapping[str, Ranks]) -> dict[str, Any]:
        """Metrics, changes and intervals of models in the sampled protocol, in all and by segment."""
        values = {name: metrics.values_of_ranks(of.sampled, CUTOFF) for name, of in ranks.items()}
        comparison = Comparison(self.sampled.users.numpy(), values, self.seed)
        return {**comparison.report(), "segments": comparison.by_segment(segments_of(self.known))}

    def catalogue_report(self, ranks: Mapping[str, Ranks]) -> dict[str, Any]:
        """The same among all unseen items, with MRR, coverage, Gini coefficient and popularity bias."""
        results = {name: of.catalogue for name, of in ranks.items() if of.catalogue is not None}
        values = {
            name: {
                **metrics.values_of_ranks(result.ranks, CUTOFF),
                "mrr": metrics.reciprocal_ranks(result.ranks),
            }
            for name, result in results.items()
        }
        comparison = Comparison(self.catalogue.users, values, self.seed)
        report = comparison.report()
        for name, result in results.items():
            report[name] |= self._list_metrics(result.lists)
            report["intervals"][name] |= self._popularity_bias_interval(result.lists)
        return {
            "protocol": {
                "n_pairs": len(self.catalogue.users),
                "n_pairs_available": self.catalogue.n_available,
                "n_pairs_left_out": self.catalogue.n_left_out,
                "k": CUTOFF,
                "seed": self.seed,
            },
            **report,
            "segments": comparison.by_segment(segments_of(self.known)),
        }

    def new_users_report(self, candidate: Artifact) -> dict[str, Any] | None:
        """Metrics of users treated as new, in the sampled protocol; None if the model has no sessions.

        The users were in the training, but their vectors are not used: they are ranked by their last items.
        """
        if candidate.model is None:
            return None
        rng = np.random.default_rng([self.seed, NEW_USERS_STREAM])
        rows = np.flatnonzero(self.known.counts[self.sampled.users.numpy()])
        rows = np.sort(rng.choice(rows, min(len(rows), MAX_NEW_USERS), replace=False))
        pairs = self.sampled.subset(rows)
        scores = session_scores(candidate.model, candidate.session, self.known, pairs) if len(rows) else None
        if scores is None:
            return None
        values = {
            "model": metrics.values_of_ranks(metrics.rank_of_first(scores), CUTOFF),
            "popularity": metrics.values_of_ranks(
                metrics.rank_of_first(baselines.popularity(self.known, pairs)), CUTOFF
            ),
        }
        described = {"n_pairs": len(rows), "last_items": SESSION_LENGTH, "seed": self.seed}
        return {"protocol": described, **Comparison(pairs.users.numpy(), values, self.seed).report()}

    @cached_property
    def _popularity(self) -> Tensor:
        return torch.from_numpy(self.run.popularity).double()

    def _list_metrics(self, lists: Tensor) -> dict[str, float]:
        held_out = torch.from_numpy(self.catalogue.held_out)
        return metrics.with_cutoff(catalogue.list_metrics(lists, held_out, self._popularity), CUTOFF)

    def _popularity_bias_interval(self, lists: Tensor) -> dict[str, list[float]]:
        """Coverage and Gini get no interval: resamples have fewer different users, which biases both."""
        is_item = lists >= 0
        shown = torch.where(is_item, self._popularity[lists.clamp(min=0)], 0.0).sum(1)
        taken = self._popularity[torch.from_numpy(self.catalogue.held_out)]
        columns = torch.stack([shown, is_item.sum(1).double(), taken], dim=1).numpy()
        means = bootstrap.resampled_means(self.catalogue.users, columns, np.random.default_rng(self.seed))
        bias = means[:, 0] / np.maximum(means[:, 1] * means[:, 2], 1e-12)
        return metrics.with_cutoff({"popularity_bias": bootstrap.interval(bias)}, CUTOFF)
