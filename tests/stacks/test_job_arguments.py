"""Arguments of the preparation job, derived from section `spark.job` of the stage configuration."""

from __future__ import annotations

from typing import Any

from ml.settings.stage_job import StageJob
from tests.stacks.program import stage_file


def job(**changes: Any) -> StageJob:
    return StageJob.read({**stage_file("dev")["ncf:spark"]["job"], **changes})


def test_null_setting_is_not_passed_as_a_flag() -> None:
    assert job(max_quarantined_share=None).arguments() == ["--min-interactions", "5"]


def test_time_cut_accepts_users_with_fewer_interactions() -> None:
    cut = job(min_interactions=1, time_cut={"test_days": 1, "validation_days": 1})
    assert cut.arguments()[:2] == ["--min-interactions", "1"]


def test_each_setting_is_passed_as_its_flag() -> None:
    assert job(
        look_back_days=90,
        user_column="member",
        item_column="sku",
        time_column="at",
        event_column="event",
        event_weights={"view": 1.0, "purchase": 10.125001, "cart": 2.5},
        min_weight=0.5,
        min_item_interactions=3,
        time_cut={"test_days": 7, "validation_days": 14},
    ).arguments() == [
        *("--look-back-days", "90"),
        *("--user-column", "member"),
        *("--item-column", "sku"),
        *("--time-column", "at"),
        *("--event-column", "event"),
        *("--event-weight", "cart=2.5"),
        *("--event-weight", "purchase=10.125001"),
        *("--event-weight", "view=1.0"),
        *("--min-interactions", "5"),
        *("--min-item-interactions", "3"),
        *("--min-weight", "0.5"),
        *("--split", "time-cut"),
        *("--test-days", "7"),
        *("--validation-days", "14"),
        *("--max-quarantined-share", "0.05"),
    ]
