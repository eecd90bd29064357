"""Command `variants`: which models it compares."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from local.errors import BadInputError
from local.variants.command import VariantOptions, run
from ml.contract import UNKNOWN_MODEL_VERSION

CONTROL, TREATMENT = "20261123T020000Z", "20261124T020000Z"


def options(folder: Path, **answers: int) -> VariantOptions:
    """Options for files with a number of answers per model version, and no clicks."""
    common = {"message": "answer recorded", "answered_at": 1, "items": ["7"], "latency_ms": 1, "error": ""}
    lines = [
        json.dumps({**common, "user": f"u{number}", "model_version": version})
        for version, n_answers in answers.items()
        for number in range(n_answers)
    ]
    records, clicks = folder / "answers.log", folder / "clicks.csv"
    records.write_text("\n".join(lines))
    clicks.write_text("user_id,item_id,time\n")
    return VariantOptions(clicks, records, ("", ""), window_minutes=30, reject_if_worse=False)


def test_answers_without_a_readable_version_are_not_a_model(tmp_path: Path) -> None:
    out = Console(file=io.StringIO(), width=200)
    found = run(options(tmp_path, **{CONTROL: 90, UNKNOWN_MODEL_VERSION: 60, TREATMENT: 40}), out)
    assert (found.control.version, found.treatment.version) == (CONTROL, TREATMENT)
    assert "left out: 60 answers" in out.file.getvalue()


def test_one_model_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="answers of 1 model versions: set api"):
        run(options(tmp_path, **{CONTROL: 3, UNKNOWN_MODEL_VERSION: 2}), Console(file=io.StringIO()))
