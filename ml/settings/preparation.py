"""Settings of the preparation job, grouped by the step that uses them.

The job's command-line flags, the section ``ncf:spark.job`` of a stage's config and the flags that the stage
passes to the job are derived from these groups (:mod:`ml.settings.preparation_flags` and
:mod:`ml.settings.stage_job`). To add a flag: add its field here, and use it in its step.
"""

from dataclasses import dataclass
from typing import Any, Literal, Optional

from ml.settings.fields import InvalidSettingError, SettingError, Settings, setting

Format = Literal["auto", "double-colon", "tsv", "csv", "jsonl", "parquet"]
Split = Literal["leave-last-out", "time-cut"]
# ml.preparation.detect.layout has their codecs. UTF-16 is always recognized, and is no choice.
Encoding = Literal[
    "utf-8", "cp949", "shift_jis", "euc-jp", "gb18030", "big5", "latin-1", "windows-1250", "windows-1251"
]

# Separators with a name: most shells and YAML need quotes around the characters.
SEPARATORS = {
    "control-A": "\x01",
    "tab": "\t",
    "semicolon": ";",
    "pipe": "|",
    "comma": ",",
    "spaces": " ",  # one or more
}

# Forms of time with a name; ml.preparation.detect.times has what they mean.
TIME_FORMATS = (
    *("seconds", "milliseconds", "microseconds", "nanoseconds", "iso8601"),
    *("digits", "year-first", "month-first", "day-first", "month-names"),
)
DETECT = "detect"
TIME_CUT: Split = "time-cut"
MAX_LOOK_BACK_DAYS = 3660  # ten years; a larger number is a typo
MAX_CUT_DAYS = 36_500  # a century: longer than the range of timestamps that are read
MIN_WEIGHT, MAX_WEIGHT = 1e-30, 1e30  # weights are written as float32
N_HELD_OUT = 2  # of each user by leave-last-out: one pair for validation, one for test


def _column(spelling: str) -> Any:
    return setting(
        None, pattern=r"(?s).+", wanted="a name", help=f"default: common spellings, such as {spelling}"
    )


def cut_days(default: Any, help: str) -> Any:  # noqa: A002 (argparse's word)
    """Declare a number of days of a split by time."""
    return setting(default, at_least=1, at_most=MAX_CUT_DAYS, unit="days", help=help)


@dataclass(frozen=True)
class RunSettings(Settings):
    """Input and output of one run."""

    input: str = setting(help="file or folder to read (local, s3://, hdfs://)")
    output: str = setting(help="root of the prepared runs; the run is written below it")
    run_id: str = setting(help="UTC time, as 20261123T020000Z")
    previous_run: Optional[str] = setting(
        None, help="run whose ids keep their indices, or none (default: the newest complete run before)"
    )
    overwrite: bool = setting(False, help="prepare a complete run again")
    scratch: Optional[str] = setting(
        None,
        help="root of temporary files, in the file system of the output; deleted at the end "
        "(default: _unfinished in the run's folder)",
    )


@dataclass(frozen=True)
class ReadSettings(Settings):
    """Format, columns and days of the input files."""

    format: Format = setting("auto", help="file format; auto: detected from the content")
    layout: Literal["previous", "detect"] = setting(
        "previous",
        help="read files as the previous run read the same input, which refuses changed files, or anew",
    )
    look_back_days: Optional[int] = setting(
        None,
        at_least=1,
        at_most=MAX_LOOK_BACK_DAYS,
        unit="days",
        help="days of dt=YYYY-MM-DD/ folders to read, up to the run's day (default: all)",
    )
    user_column: Optional[str] = _column("user_id")
    item_column: Optional[str] = _column("item_id")
    time_column: Optional[str] = _column("timestamp")
    clock_column: Optional[str] = setting(
        None,
        pattern=r"(?s).+",
        wanted="a name",
        help="column with the time of day, if the time column is only the date (default: time, beside date)",
    )
    time_format: Optional[str] = setting(
        None,
        pattern=f"{'|'.join(TIME_FORMATS)}|.*%.*",
        wanted=f"one of {', '.join(TIME_FORMATS)}, or a pattern such as %d/%m/%Y %H:%M",
        help=f"form of the times: {', '.join(TIME_FORMATS)}, or a pattern such as %d/%m/%Y (default: "
        "detected)",
    )
    time_zone: Optional[str] = setting(
        None,
        pattern=r"[A-Za-z][A-Za-z0-9_+/-]*|[+-][0-9]{2}:[0-9]{2}",
        wanted="a time zone such as Asia/Seoul or +09:00",
        help="zone of times without one, such as Asia/Seoul or +09:00 (default: UTC)",
    )
    no_time: bool = setting(
        False, help="the events have no time: hold out by a hash, which makes the evaluation weaker"
    )
    separator: Optional[str] = setting(
        None,
        pattern=r"[^\r\n\"']+",
        wanted="a text without quotes, or a name such as tab",
        help=f"separator of delimited text: {', '.join(SEPARATORS)}, or the text itself, such as :: "
        "(default: detected)",
    )
    encoding: Optional[Encoding] = setting(None, help="character encoding of text (default: detected)")
    quote: Optional[Literal["double", "single", "none"]] = setting(
        None,
        help="quotes around fields of delimited text; none: a quote is a character like any other (default: "
        "detected)",
    )
    escape: Optional[Literal["doubled", "backslash"]] = setting(
        None, help="how a quote inside a quoted field is written (default: detected)"
    )
    header: Optional[Literal["first-line", "none"]] = setting(
        None, help="whether the first line of delimited text names the columns (default: detected)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("time_column", "clock_column", "time_format", "time_zone"):
            if self.no_time and getattr(self, name) is not None:
                raise SettingError(name, "and {0}: give one of them", "no_time")
        if self.separator is not None and self.format != "auto":
            raise SettingError("separator", "and {0}: give one of them", "format")
        if self.escape is not None and self.quote == "none":
            raise SettingError("escape", "and {0} none: give one of them", "quote")
        is_long = self.separator is not None and len(SEPARATORS.get(self.separator, self.separator)) > 1
        if is_long and self.quote in ("double", "single"):
            raise SettingError("quote", "needs {0} of one character", "separator")


@dataclass(frozen=True)
class WeightSettings(Settings):
    """Weight of an event: by its type, or a number in a column; without either, 1."""

    event_column: Optional[str] = _column("event_type")
    event_weights: dict[str, float] = setting(
        {},
        at_least=0,
        at_most=MAX_WEIGHT,
        wanted="a positive number, or 0 to leave the type out",
        flag="event-weight",
        metavar="TYPE=WEIGHT",
        help="weight of an event type, such as purchase=5, or 0 to leave it out; repeat it for each type. "
        "Weights decide what --min-weight drops, and count in training with the hyperparameter event_weights",
    )
    weight_column: Optional[str] = setting(
        None,
        pattern=r"(?s).+",
        wanted="a name",
        help="column with the weight of each event, such as rating (default: none)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        types: set[str] = set()
        for name, weight in self.event_weights.items():
            if 0 < weight < MIN_WEIGHT:
                raise InvalidSettingError(f"event_weights.{name}", weight, f"at least {MIN_WEIGHT:g}, or 0")
            if name.strip().lower() in types:
                raise SettingError(f"event_weights.{name}", "is given more than once; case does not matter")
            types.add(name.strip().lower())
        if self.event_weights and not any(self.event_weights.values()):
            raise SettingError("event_weights", "leaves all types out: give one of them a positive weight")
        if self.event_weights and self.weight_column is not None:
            raise SettingError("event_weights", "and {0}: give one of them", "weight_column")
        if self.event_column is not None and not self.event_weights:
            raise SettingError(
                "event_column", "also needs {0}, with a weight for each event type", "event_weights"
            )


@dataclass(frozen=True)
class CleanSettings(Settings):
    """Ids that are missing, and what becomes of events without a user."""

    anonymous: Literal["quarantine", "drop"] = setting(
        "quarantine", help="events without a user: quarantine, or drop without counting them as unusable"
    )
    missing_ids: Optional[str] = setting(
        None,
        help="more texts that stand for a missing id, separated by commas, such as -1,0 (NULL, nan, None, "
        "undefined and others always do)",
    )


@dataclass(frozen=True)
class SplitSettings(Settings):
    """Filters of users, items and pairs, and the rule by which pairs are split."""

    min_interactions: int = setting(5, help="drop users with fewer")
    min_item_interactions: int = setting(1, at_least=1, help="drop items with fewer")
    min_weight: float = setting(0.0, at_least=0, help="drop user-item pairs of less weight")
    split: Split = setting("leave-last-out", help="rule of the split")
    test_days: Optional[int] = cut_days(None, "last days of a time cut (default 1)")
    validation_days: Optional[int] = cut_days(None, "days before those (default 1)")

    def __post_init__(self) -> None:
        super().__post_init__()
        n_held_out = 0 if self.split == TIME_CUT else N_HELD_OUT
        if self.min_interactions <= n_held_out:
            why = f", since each user's last {n_held_out} are held out" if n_held_out else ""
            raise InvalidSettingError(
                "min_interactions", self.min_interactions, f"at least {n_held_out + 1}{why}"
            )
        for name in ("test_days", "validation_days"):
            if getattr(self, name) is not None and self.split != TIME_CUT:
                raise InvalidSettingError(
                    name, getattr(self, name), f"{{0}} {TIME_CUT} too, or leave it out", "split"
                )


@dataclass(frozen=True)
class QualitySettings(Settings):
    """Limits of the quality gate of a run."""

    expectations: Optional[str] = setting(None, help="JSON file of the quality gate (default: packaged)")
    expect_at_most: dict[str, float] = setting(
        {},
        metavar="METRIC=LIMIT",
        help="upper limit of a metric of the quality gate, such as missing_user_share=0.3",
    )
    expect_at_least: dict[str, float] = setting(
        {}, metavar="METRIC=LIMIT", help="lower limit of a metric of the quality gate, such as users=1000"
    )
    max_quarantined_share: Optional[float] = setting(
        None,
        at_least=0,
        at_most=1,
        wanted="a share from 0 to 1",
        help="fail the run if more rows cannot be used (default: as in the expectations)",
    )


@dataclass(frozen=True)
class FeatureStoreSettings(Settings):
    """MongoDB database that the job writes features to."""

    secret_arn: str = setting(flag="feature-store-secret", help="ARN of the secret with MongoDB's URI")
    database: str = setting(flag="feature-store-database", help="database that features are written to")


@dataclass(frozen=True)
class PreparationSettings:
    """All settings of one run of the job. Without `feature_store`, features are written as files only."""

    run: RunSettings
    read: ReadSettings
    weights: WeightSettings
    clean: CleanSettings
    split: SplitSettings
    quality: QualitySettings
    feature_store: Optional[FeatureStoreSettings] = None


# The groups that a person chooses for an input: all but those of one run and of the feature store.
STEPS = (ReadSettings, WeightSettings, CleanSettings, SplitSettings, QualitySettings)
