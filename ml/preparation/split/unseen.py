"""Items that users have not seen: evaluation ranks the held-out item of a user among 99 of them."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 (the name that Spark's own guide uses)

from ml.contract import N_TEST_NEGATIVES, SPLITS
from ml.preparation.spark.totals import Totals


@dataclass(frozen=True)
class UnseenItems:
    """How many items the users have in no split.

    A user with fewer than 99 is ranked among all of them, which is easier, and one without any is left out.
    """

    fewest: int  # of the user who has the most items
    n_users_with_fewer: int  # users with fewer than N_TEST_NEGATIVES, including those without any
    n_users_without: int

    @property
    def warning(self) -> str | None:
        """The consequence for evaluation, if there is one."""
        if not self.n_users_with_fewer:
            return None
        return (
            f"{self.n_users_with_fewer} users have fewer than {N_TEST_NEGATIVES} unseen items (the fewest: "
            f"{self.fewest}) and are evaluated among those, which is easier; {self.n_users_without} of them "
            "have none and are left out"
        )


def unseen_totals(n_items: int) -> list[Column]:
    """Aggregations of users with their numbers of pairs per split, for `unseen_items`."""
    n_unseen = F.lit(n_items)
    for split in SPLITS:
        n_unseen = n_unseen - F.col(f"n_{split}")
    return [
        F.min(n_unseen).alias("fewest_unseen"),
        F.count(F.when(n_unseen < N_TEST_NEGATIVES, True)).alias("n_few_unseen"),
        F.count(F.when(n_unseen <= 0, True)).alias("n_none_unseen"),
    ]


def unseen_items(totals: Totals) -> UnseenItems:
    """The result of `unseen_totals`."""
    return UnseenItems(totals["fewest_unseen"] or 0, totals["n_few_unseen"], totals["n_none_unseen"])
