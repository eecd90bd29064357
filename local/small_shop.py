"""Check of a small data set before anything is deployed: whether a model of it could be evaluated."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from importlib import resources

from ml.preparation.detect.inspection import Explained
from ml.preparation.detect.samples import is_null
from ml.settings.preparation import QualitySettings, SplitSettings


def missing_events(
    explained: Sequence[Explained], split: SplitSettings, quality: QualitySettings
) -> str | None:
    """Reason why the data are too small for the quality gate of a run; None if they are not.

    Args:
        explained: all files of the data.
        split: the smallest number of interactions of a user.
        quality: limits of the gate; with a file of expectations, nothing is checked.
    """
    if quality.expectations is not None or not all(each.is_whole for each in explained):
        return None
    items_of: defaultdict[str, set[str]] = defaultdict(set)
    for each in explained:
        user, item = (each.samples.columns.index(each.columns[role]) for role in ("user", "item"))
        for row in each.samples.rows:
            if not is_null(row[user]) and not is_null(row[item]):
                items_of[row[user]].add(row[item])
    n_items = len(set().union(*items_of.values()))
    most = max(map(len, items_of.values()), default=0)
    if n_items < (least := _limit("items", quality)):
        return f"{n_items} items, of which a list of 10 has to leave one out; give at least {least:g}"
    wanted = split.min_interactions
    if most < wanted:
        return (
            f"no user has {wanted} different items (the most: {most}); give more events, or a lower "
            "--min-interactions"
        )
    n_rankable = sum(wanted <= len(items) < n_items for items in items_of.values())
    if n_rankable < (least := _limit("rankable_users", quality)):
        return (
            f"{n_rankable} users have {wanted} different items and an item that they have not seen; give "
            f"events of at least {least:g}"
        )
    return None


def _limit(metric: str, quality: QualitySettings) -> float:
    """The lower limit of a metric: as given, or the packaged one."""
    text = resources.files("ml.preparation.write").joinpath("expectations.json").read_text(encoding="utf-8")
    packaged = {each["name"]: each.get("min", 0) for each in json.loads(text)}
    return float(quality.expect_at_least.get(metric, packaged.get(metric, 0)))
