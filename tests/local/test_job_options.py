"""Options of the preparation job on the command line of `up` and `train`, and the check of the data."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from local.__main__ import app
from local.errors import BadInputError
from local.job_options import explain_data, parse_job_options, replace_flags, stage_job
from ml.preparation.detect.inspection import explain_input
from ml.settings.preparation import ReadSettings, WeightSettings

HEADER = "user_id;item_id;timestamp\n"
ROWS = HEADER + "".join(f"u{n % 3};i{n};16000000{n:02d}\n" for n in range(30))


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--user-colum", "u"], "unrecognized arguments: --user-colum u; see .venv/bin/python -m local up"),
        (["--min-interactions", "many"], "argument --min-interactions: invalid int value: 'many'"),
        (["--separator", ";", "--format", "csv"], "--separator and --format: give one of them"),
        (["--encoding", "ebcdic"], "argument --encoding: invalid choice: 'ebcdic'"),
    ],
)
def test_wrong_option_is_refused_before_anything_starts(given: list[str], message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_job_options(given)
    assert str(caught.value).startswith(message)


def test_given_flags_replace_those_of_the_stage_with_all_their_values() -> None:
    stage = ["--event-weight", "view=1", "--event-weight", "buy=5", "--anonymous", "drop", "--missing-ids=-1"]
    given = ["--event-weight", "like=2", "--missing-ids=0"]
    assert replace_flags(stage, given) == ["--anonymous", "drop", *given]


def test_what_is_found_in_the_data_is_given_to_the_job(events: Path) -> None:
    found = explain_data(events, stage_job("dev"), ["--user-column", "user_id"])
    assert found.lines[0].startswith(f"{events}: text separated by semicolon, utf-8, with header; 30 rows")
    assert parse_job_options(found.options) == found.options
    for flag, value in (
        ("--separator", "semicolon"),
        ("--time-format", "seconds"),
        ("--user-column", "user_id"),
    ):
        assert found.options[found.options.index(flag) + 1] == value
    assert found.options.count("--user-column") == 1


def test_of_files_in_two_forms_only_what_is_common_is_given_to_the_job(events: Path) -> None:
    (events.parent / "later.csv").write_text(ROWS.replace(";", ","))
    options = explain_data(events.parent, {}, []).options
    assert "--separator" not in options
    assert options[options.index("--header") + 1] == "first-line"


def test_of_many_files_nothing_is_fixed_that_was_not_seen_in_each(events: Path) -> None:
    for number in range(20):
        (events.parent / f"{number}.csv").write_text(ROWS)
    assert explain_data(events.parent, {}, ["--anonymous", "drop"]).options == ("--anonymous", "drop")
    assert len(explain_input(events.parent, ReadSettings(), WeightSettings())) < 21


@pytest.mark.parametrize(
    ("stage", "given", "message"),
    [
        ({"user_column": "visitor"}, [], "no column 'visitor'; columns found: user_id, item_id, timestamp"),
        ({}, ["--time-format", "%d.%m.%Y"], "has the form --time-format %d.%m.%Y; options go after the data"),
        ({"user": "x"}, [], "ncf:spark.job.user is not known: write one of anonymous"),
    ],
)
def test_data_that_the_job_would_refuse_is_refused_with_the_option(
    events: Path, stage: dict[str, str], given: list[str], message: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        explain_data(events, stage, given)
    assert message in str(caught.value)


@pytest.mark.parametrize("command", ["up", "train"])
def test_help_lists_the_options_of_the_job_by_step(command: str) -> None:
    text = CliRunner().invoke(app, [command, "--help"]).output
    assert "Preparation job: Format, columns and days of the input files" in text
    assert "--encoding [utf-8|" in text
    assert "--event-weight TYPE=WEIGHT" in text


@pytest.mark.parametrize(
    ("n_items_of", "given", "problem"),
    [
        ([8], [], "8 items, of which a list of 10 has to leave one out; give at least 11"),
        ([12], [], "0 users have 5 different items and an item that they have not seen; give events of at"),
        ([4, 4, 4], [], "no user has 5 different items (the most: 4); give more events, or a lower --min"),
        ([4, 4, 4], ["--min-interactions", "4"], None),
        ([12, 6], [], None),
        ([8, 7], ["--expect-at-least", "items=8"], None),
    ],
)
def test_shop_that_is_too_small_is_refused_with_the_missing_number(
    events: Path, n_items_of: list[int], given: list[str], problem: str | None
) -> None:
    n_items = sum(n_items_of) if max(n_items_of) < 8 else max(n_items_of)
    pairs = [(user, (user * 4 + n) % n_items) for user, count in enumerate(n_items_of) for n in range(count)]
    events.write_text(HEADER + "".join(f"u{user};i{item};1600000000\n" for user, item in pairs))
    if problem is None:
        assert explain_data(events, {}, given).options
        return
    with pytest.raises(BadInputError) as caught:
        explain_data(events, {}, given)
    assert f"{events}: too small: {problem}" in str(caught.value)
