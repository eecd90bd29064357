"""Forms of public data sets: their columns are found, or the refusal names the option or what to change."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.inspection import explain_input
from ml.settings.preparation import ReadSettings, WeightSettings
from tests.ml.preparation.detect.public_forms import NO_TIME, REFUSED, RIGHT, form_text

# Name: columns that are found after the command of the refusal, and the settings for it.
CONVERTED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "Netflix Prize": (("user_id", "item_id", "date", "iso8601"), {}),
    "Jester": (("user_id", "item_id"), NO_TIME),
    "LightGCN": (("user_id", "item_id"), NO_TIME),
    "CiteULike of users": (("user_id", "item_id"), NO_TIME),
}


def columns_of(path: Path, **settings: Any) -> tuple[str, ...]:
    (found,) = explain_input(path, ReadSettings(**settings), WeightSettings())
    chosen = [found.columns[role] for role in ("user", "item", "time") if role in found.columns]
    return (*chosen, *([found.record["time_format"]] if "time" in found.columns else []))


@pytest.mark.parametrize("name", RIGHT)
def test_form_is_read_without_an_option(tmp_path: Path, name: str) -> None:
    header, row, expected = RIGHT[name]
    (tmp_path / "events").write_text(form_text(header, row))
    assert columns_of(tmp_path / "events") == expected


@pytest.mark.parametrize("name", REFUSED)
def test_form_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    header, row, message, settings = REFUSED[name]
    (tmp_path / "events").write_text(form_text(header, row))
    with pytest.raises(InputError) as caught:
        columns_of(tmp_path / "events")
    assert message in str(caught.value)
    if settings is not None:
        assert len(columns_of(tmp_path / "events", **settings)) == (2 if settings.get("no_time") else 4)


def converted(folder: Path, name: str) -> Path:
    """The file that the command of a form's refusal writes."""
    header, row, *_ = REFUSED[name]
    (folder / "FILE").write_text(form_text(header, row))
    with pytest.raises(InputError) as caught:
        columns_of(folder / "FILE")
    command = re.search(r"awk .*", str(caught.value))
    assert command is not None
    subprocess.run(command[0], shell=True, cwd=folder, check=True)
    return folder / "events.csv"


@pytest.mark.parametrize("name", CONVERTED)
def test_command_of_the_refusal_gives_a_file_that_is_read(tmp_path: Path, name: str) -> None:
    expected, settings = CONVERTED[name]
    assert columns_of(converted(tmp_path, name), **settings) == expected


@pytest.mark.parametrize(("name", "first_user"), [("LightGCN", 0), ("CiteULike of users", 1)])
def test_command_for_lists_writes_each_item_of_each_user(tmp_path: Path, name: str, first_user: int) -> None:
    rows = converted(tmp_path, name).read_text().splitlines()[1:]
    lines = [line.split()[1:] for line in (tmp_path / "FILE").read_text().splitlines()]
    assert rows == [f"{user},{item}" for user, items in enumerate(lines, first_user) for item in items]


@pytest.mark.parametrize("items", ["{i} {u}", "{i}|{u}", "[{i}, {u}]", "['{i}', '{u}']"])
@pytest.mark.parametrize("header", ["user_id\titem_id\ttimestamp", ""])
def test_lists_of_items_are_not_taken_for_ids(tmp_path: Path, header: str, items: str) -> None:
    (tmp_path / "events").write_text(form_text(header, f"{{u}}\t{items}\t{{s}}"))
    name = "item_id" if header else "#2"
    with pytest.raises(InputError, match=f"give --item-column '{name}\\[\\]' for one event per element"):
        columns_of(tmp_path / "events")
    assert columns_of(tmp_path / "events", item_column=f"{name}[]")[1:] == (
        name,
        "timestamp" if header else "#3",
        "seconds",
    )


def test_impressions_with_a_label_are_no_list_of_items(tmp_path: Path) -> None:
    header, row, *_ = REFUSED["MIND"]
    (tmp_path / "events").write_text(form_text(header, row))
    with pytest.raises(InputError, match="end in -1 if they were clicked"):
        columns_of(tmp_path / "events", item_column="#5[]")
