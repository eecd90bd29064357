"""Input and arguments that cannot be used give an error of one line, exit status 2 and no complete run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ml.preparation import job
from ml.preparation.errors import InputError
from tests.ml.preparation.shop import RUN_ID, prepare, shop_lines, write_shop

SINGLES = [f"u{n},i{n % 3},1600000000" for n in range(20)]


@pytest.mark.spark
@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        ([], {}, "no events in it, only a header"),
        (SINGLES, {}, "every user has fewer than 5 interactions"),
        (shop_lines(), {"min_interactions": 10}, "every user has fewer than 10 interactions"),
        (
            [*shop_lines()[:18], ",,"],
            {},
            r"1 of 19 rows cannot be used \(missing_user 1\), more than .*first: missing_user: ',,'",
        ),
        (
            ["u1,i1,5", *shop_lines()],
            {"max_quarantined_share": 0.0},
            "1 of 109 rows cannot be used .* time_out_of_range: 'u1,i1,5'; .*all: .*/quarantine/$",
        ),
        (
            shop_lines(),
            {"user_column": "buyer"},
            "no column 'buyer'; columns found: user_id, item_id",
        ),
    ],
)
def test_unusable_input_leaves_no_complete_run(
    spark: SparkSession, tmp_path: Path, lines: list[str], settings: dict[str, Any], message: str
) -> None:
    source = write_shop(tmp_path, lines)
    with pytest.raises(InputError, match=message) as caught:
        prepare(spark, source, tmp_path / "prepared", **settings)
    assert "shop.csv" in str(caught.value)
    assert not {"manifest.json", "_SUCCESS"} & {path.name for path in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run-id", "yesterday"], "--run-id: run id 'yesterday': write a UTC time as 20261123T020000Z"),
        (["--min-interactions", "2"], "--min-interactions 2: give at least 3"),
        (["--min-interactions", "many"], "argument --min-interactions: invalid int value: 'many'"),
        (["--max-quarantined-share", "5"], "--max-quarantined-share 5.0: give a share from 0 to 1"),
        (["--min-item-interactions", "0"], "--min-item-interactions 0: give a whole number of at least 1"),
        (["--min-weight", "-1"], "--min-weight -1.0: give a number of at least 0"),
        (["--min-weight", "nan"], "--min-weight nan: give a number of at least 0"),
        (["--split", "random"], "argument --split: invalid choice: 'random'"),
        (["--test-days", "3"], "--test-days 3: give --split time-cut too, or leave it out"),
        (
            ["--split", "time-cut", "--validation-days", "0"],
            "--validation-days 0: give a whole number of days from 1 to 36500",
        ),
        (["--split", "time-cut", "--min-interactions", "0"], "--min-interactions 0: give at least 1"),
        (["--look-back-days", "0"], "--look-back-days 0: give a whole number of days from 1 to 3660"),
        (
            ["--event-column", "kind"],
            "--event-column also needs --event-weight, with a weight for each event type",
        ),
        (["--event-weight", "view"], "--event-weight 'view': give TYPE=WEIGHT, such as view=1"),
        (
            ["--event-weight", "view=1", "--weight-column", "rating"],
            "--event-weight and --weight-column: give one of them",
        ),
        (["--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["--speed", "9"], "unrecognized arguments: --speed 9"),
    ],
)
def test_wrong_argument_gives_one_line_and_exit_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert job.main(["--input", "x", "--output", "y", "--run-id", RUN_ID, *arguments]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"ml.preparation: {message}")
    assert line.count("\n") == 1
