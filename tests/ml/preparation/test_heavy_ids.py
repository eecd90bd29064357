from __future__ import annotations

import pytest

from ml.preparation.heavy_ids import heavy_id_warning


@pytest.mark.parametrize(
    ("name", "n_of_heaviest", "n_ids", "n_events"),
    [
        ("user", 30, 1000, 1000),  # 3 percent
        ("user", 200, 25, 1000),  # five times the average of a small shop
        ("item", 190, 1000, 1000),  # a popular item
        ("user", None, 0, None),
    ],
)
def test_usual_share_of_an_id_is_not_reported(
    name: str, n_of_heaviest: int | None, n_ids: int, n_events: int | None
) -> None:
    assert heavy_id_warning(name, "u1", n_of_heaviest, n_ids, n_events) is None


def test_heavy_id_is_reported_with_its_share_and_the_option() -> None:
    assert heavy_id_warning("user", "-1", 60, 1000, 1000) == (
        "user '-1' has 6.0% of all events (60 of 1000); if it stands for a missing user, give "
        "--missing-ids=-1"
    )
