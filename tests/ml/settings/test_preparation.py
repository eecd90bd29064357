"""Settings of the preparation job: flags, the stage's section, and the flags that the stage passes."""

from __future__ import annotations

import argparse
from typing import Any, get_args

import pytest

from ml.preparation.detect.hints import FORMATS
from ml.preparation.detect.layout import ENCODINGS
from ml.preparation.detect.times import FORMS
from ml.settings.fields import SettingError
from ml.settings.preparation import TIME_FORMATS, Encoding, Format, PreparationSettings
from ml.settings.preparation_flags import add_arguments, flag_name, from_arguments
from ml.settings.stage_job import StageJob

REQUIRED = ["--input", "raw", "--output", "prepared", "--run-id", "20261123T020000Z"]


def parsed(*flags: str) -> PreparationSettings:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args([*REQUIRED, *flags]))


def test_flags_fill_the_group_of_their_step() -> None:
    flags = ["--format", "csv", "--event-weight", "view=1", "--event-column", "kind", "--min-weight", "2"]
    settings = parsed(*flags, "--max-quarantined-share", "0.1")
    assert (settings.run.input, settings.run.overwrite) == ("raw", False)
    assert settings.read.format == "csv"
    assert (settings.weights.event_column, settings.weights.event_weights) == ("kind", {"view": 1.0})
    assert (settings.split.min_weight, settings.split.min_interactions) == (2.0, 5)
    assert settings.quality.max_quarantined_share == 0.1
    assert settings.feature_store is None


def test_feature_store_is_set_as_a_whole() -> None:
    store = parsed("--feature-store-secret", "arn", "--feature-store-database", "ncf").feature_store
    assert store is not None
    assert (store.secret_arn, store.database) == ("arn", "ncf")
    with pytest.raises(SettingError) as caught:
        parsed("--feature-store-secret", "arn")
    message = caught.value.flag_text(flag_name)
    assert message == "--feature-store-secret and --feature-store-database: give both or neither"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["view"], "--event-weight 'view': give TYPE=WEIGHT, such as view=1"),
        (["=1"], "--event-weight '=1': give TYPE=WEIGHT, such as view=1"),
        (["view=much"], "--event-weight view 'much': give a positive number, or 0 to leave the type out"),
        (["view=0"], "--event-weight leaves all types out: give one of them a positive weight"),
        (["view=1e-40"], "--event-weight view 1e-40: give at least 1e-30, or 0"),
        (["view=1", "View=2"], "--event-weight View is given more than once; case does not matter"),
        (["view=inf"], "--event-weight view inf: give a positive number, or 0 to leave the type out"),
        (["view=nan"], "--event-weight view nan: give a positive number, or 0 to leave the type out"),
        (["view=1", "view=2"], "--event-weight view is given more than once"),
    ],
)
def test_event_weight_is_a_name_and_a_positive_number(given: list[str], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parsed(*(part for each in given for part in ("--event-weight", each)))
    assert caught.value.flag_text(flag_name) == message


def test_event_weight_is_split_at_its_last_equals_sign() -> None:
    weights = parsed("--event-weight", "a=b=2", "--event-weight", " cart =3").weights.event_weights
    assert weights == {"a=b": 2.0, "cart": 3.0}


def test_named_times_are_those_that_the_job_reads() -> None:
    assert tuple(FORMS) == TIME_FORMATS


def test_formats_are_those_that_the_job_reads() -> None:
    assert get_args(Format) == ("auto", *FORMATS, "jsonl", "parquet")


def test_encodings_are_those_that_the_job_reads() -> None:
    assert {*get_args(Encoding), "utf-16le", "utf-16be"} == set(ENCODINGS)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--separator", ";", "--format", "csv"], "--separator and --format: give one of them"),
        (["--separator", "a\nb"], "--separator a\nb: give a text without quotes, or a name such as tab"),
        (["--separator", "::", "--quote", "double"], "--quote needs --separator of one character"),
        (["--quote", "none", "--escape", "backslash"], "--escape and --quote none: give one of them"),
        (["--clock-column", "time", "--no-time"], "--clock-column and --no-time: give one of them"),
    ],
)
def test_properties_of_text_that_exclude_each_other_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        parsed(*flags)
    assert caught.value.flag_text(flag_name) == message


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"min_interactions": 7, "min_item_interactions": 2, "min_weight": 1.5, "look_back_days": 30},
        {"user_column": "u", "item_column": "i", "time_column": "t", "weight_column": "rating"},
        {"event_column": "kind", "event_weights": {"view": 1, "buy": 10.125001}},
        {"min_interactions": 1, "time_cut": {"test_days": 7, "validation_days": 3}},
        {"max_quarantined_share": 0.05, "time_cut": None},
        {"time_format": "%d.%m.%Y %H:%M", "time_zone": "Asia/Seoul", "anonymous": "drop"},
        {"no_time": True, "missing_ids": "-1,0"},
        {"separator": "-", "encoding": "cp949", "quote": "single", "escape": "backslash", "header": "none"},
        {"expectations": "s3://b/e.json", "expect_at_most": {"missing_user_share": 0.3}},
    ],
)
def test_flags_of_a_stage_give_the_job_the_settings_of_the_stage(section: dict[str, Any]) -> None:
    settings = parsed(*StageJob.read(section).arguments())
    groups = (settings.read, settings.weights, settings.clean, settings.split, settings.quality)
    values = {name: value for group in groups for name, value in vars(group).items()}
    expected = {**section, **(section.get("time_cut") or {})}
    expected.pop("time_cut", None)
    assert expected.items() <= values.items()
    assert settings.split.split == ("time-cut" if section.get("time_cut") else "leave-last-out")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ([], "the value is []: write an object"),
        (
            {"run_id": "x"},
            "run_id is not known: write one of anonymous, clock_column, ",
        ),
        ({"format": "csv"}, "format is not known"),
        (
            {"min_interactions": 2},
            "min_interactions is 2: write at least 3, since each user's last 2 are held",
        ),
        ({"min_interactions": "5"}, "min_interactions is '5': write a whole number"),
        ({"event_weights": {"view": -1}}, "event_weights.view is -1: write a positive number, or 0"),
        ({"time_format": "%d.%m.%Y", "no_time": True}, "time_format and no_time: give one of them"),
        ({"time_format": "US"}, "time_format is 'US': write one of seconds, "),
        ({"time_zone": "9"}, "time_zone is '9': write a time zone such as Asia/Seoul"),
        ({"no_time": True, "time_cut": {}}, "no_time and time_cut exclude each other"),
        ({"time_cut": {"days": 1}}, "time_cut.days is not known: write one of test_days, validation_days"),
        (
            {"time_cut": {"test_days": 0}},
            "time_cut.test_days is 0: write a whole number of days from 1 to 36500",
        ),
        ({"time_cut": 7}, "time_cut is 7: write an object"),
    ],
)
def test_wrong_section_of_a_stage_is_named(section: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        StageJob.read(section)
    assert str(caught.value).startswith(message)
