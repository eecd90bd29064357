"""Summary of a run: `out/run.json` and the text on the console."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from local.summary import Summary


@pytest.fixture
def summary() -> Summary:
    return Summary(
        stage="dev",
        run_id="20261123T020000Z",
        timeline=[{"step": "deploy", "seconds": 3.0, "status": "succeeded"}],
        metrics={
            "model": {"hr_at_10": 0.673, "ndcg_at_10": 0.405},
            "popularity": {"hr_at_10": 0.402, "ndcg_at_10": 0.224},
        },
        recommendations=[
            {"user_id": "[u7]", "items": [{"item_id": "[red]", "score": 1.5}], "strategy": "ncf"},
        ],
        model_version="20261123T020000Z",
        api_url="http://127.0.0.1:4566/api",
        counts={
            "events_read": 100_000,
            "kept": 99_000,
            "quarantined": {"no_user": 300, "no_item": 100},
            "duplicates": 0,
            "filtered": 600,
            "users": 943,
            "items": 1682,
        },
        training_notes=["The MLP over recent items is used."],
    )


def test_file_contains_the_documented_fields(summary: Summary, tmp_path: Path) -> None:
    summary.write(tmp_path / "out" / "run.json")
    written = json.loads((tmp_path / "out" / "run.json").read_text())
    assert {"stage", "run_id", "timeline", "metrics", "recommendations", "model_version", "api_url"} <= set(
        written
    )
    assert written["metrics"]["popularity"] == {"hr_at_10": 0.402, "ndcg_at_10": 0.224}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


def test_summary_shows_gain_counts_and_unescaped_ids(summary: Summary) -> None:
    console = Console(file=io.StringIO(), width=120)
    summary.show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    assert "dev serves model 20261123T020000Z" in text
    assert "+0.271" in text
    assert "+0.181" in text
    assert "The MLP over recent items is used." in text
    assert "100,000 events read, 99,000 kept" in text
    assert "400 quarantined, 0 duplicates, 600 filtered" in text
    assert "943 users, 1,682 items" in text
    assert "[u7]" in text
    assert "[red]" in text
