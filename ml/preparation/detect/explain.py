"""``python -m ml.preparation --explain FILE...``: how the job would read an input, without Spark.

``make up`` looks at its data in the same way before it deploys anything.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.preparation.detect.input_error import InputError, printable
from ml.preparation.detect.inspection import Explained, explain_input
from ml.preparation.detect.record import settings_of_record
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.time_summary import summarize_times
from ml.preparation.detect.times import AmbiguousTimeError
from ml.preparation.heavy_ids import is_heavy
from ml.settings.fields import SettingError
from ml.settings.preparation import ReadSettings, WeightSettings
from ml.settings.preparation_flags import add_step_arguments, flag_name, input_settings

_MAX_TYPES = 12  # event types that are listed
_MAX_SHARE = 0.05  # of missing or unusual values: more are warned of
_MIN_ROWS = 100  # for a warning about shares
# What a spreadsheet makes of an id of more than eleven digits.
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+")
_PLAIN = re.compile(r"[A-Za-z_][\w.\-]*")
_RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # words of YAML
PERMANENT = "to make this permanent, in Pulumi.<stage>.yaml:"


def main(argv: Sequence[str]) -> int:
    """Print how the job would read the files after ``--explain``; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ml.preparation --explain", description=main.__doc__)
    parser.add_argument("--explain", nargs="+", type=Path, metavar="FILE", required=True)
    add_step_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        read, weights = input_settings(arguments)
    except SettingError as error:
        sys.stderr.write(f"ml.preparation: {error.flag_text(flag_name)}\n")
        return 2
    status = 0
    for path in arguments.explain:
        try:
            lines = list(explanation(explain_input(path, read, weights), read, weights))
        except InputError as error:
            sys.stderr.write(f"ml.preparation: {' '.join(str(error).split())}\n")
            status = 2
        else:
            sys.stdout.write("\n".join([*lines, ""]))
    return status


def explanation(explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings) -> Iterator[str]:
    """How the job would read an input, and the lines of a stage file that make it permanent.

    Raises:
        InputError: times do not have the configured form.
    """
    yield from described(explained, read, weights)
    yield PERMANENT
    yield from (f"  {line}" for line in stage_lines(explained, read, weights))


def described(explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings) -> Iterator[str]:
    """The lines of the explanation: form, columns with examples, times, weights, warnings."""
    alike: dict[Hashable, list[Explained]] = {}
    for each in explained:
        key = (each.form, *each.columns.values(), each.record["time_format"])
        alike.setdefault(key, []).append(each)
    for each, *others in alike.values():
        more = f" and {len(others)} more" if others else ""
        about = "" if all(one.is_whole for one in (each, *others)) else "about "
        n_rows = sum(one.n_rows for one in (each, *others))
        yield f"{each.name}{more}: {each.form}; {about}{n_rows:,} rows"
        yield from _described_columns(each, read, weights)
        yield from (f"  warning: {warning}" for warning in _warnings(each))


def stage_lines(explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings) -> list[str]:
    """Lines of a stage file that make permanent how an input is read."""
    settings = common_settings(explained, read, weights)
    return ["ncf:spark:", "  job:", *(f"    {name}: {_yaml(value)}" for name, value in settings.items())]


def common_settings(
    explained: Sequence[Explained], read: ReadSettings, weights: WeightSettings
) -> dict[str, Any]:
    """The explicit settings with which all files are read as explained, by name."""
    each = [settings_of_record(one.record, weights) for one in explained]
    settings = {name: value for name, value in each[0].items() if all(one.get(name) == value for one in each)}
    if read.time_zone is not None:
        settings["time_zone"] = read.time_zone
    if read.format != "auto":
        settings.pop("separator", None)
    return settings


def _described_columns(each: Explained, read: ReadSettings, weights: WeightSettings) -> Iterator[str]:
    samples = each.samples
    scope = "" if each.is_whole else f" in {samples.n_rows:,} sampled rows"
    ids = []
    for role in ("user", "item"):
        position = each.positions[role]
        if position is not None:
            ids.append(
                f"{role} = {printable(samples.columns[position])} ({samples.n_distinct(position):,} distinct"
                f"{scope}, such as {printable(samples.example(position))})"
            )
    time = each.positions.get("time")
    if time is None:
        ids.append("time = none: split at random, which makes the evaluation weaker")
    else:
        clock = each.positions.get("clock")
        values = samples.present(time)
        if clock is not None:
            values = [f"{row[time].strip()} {row[clock].strip()}" for row in samples.rows]
        try:
            times = summarize_times(values, each.record["time_format"], read.time_zone)
        except (AmbiguousTimeError, InputError) as error:
            raise InputError(f"{each.name}: {error}") from None
        name = printable(samples.columns[time])
        name += f" and {printable(samples.columns[clock])}" if clock is not None else ""
        between = f", {times.first} to {times.last} UTC" if times.first else ""
        ids.append(f"time = {name} {times.form}{between}{scope}, such as {printable(samples.example(time))}")
        if times.is_local:
            ids[-1] += "; they have no zone and are read as UTC: give --time-zone if they are local"
    yield "  " + ", ".join(ids)
    if time is not None and times.unread_share > _MAX_SHARE:
        yield (
            f"  warning: {times.unread_share:.0%} of the sampled times cannot be read {times.form}, such as "
            f"{printable(times.unread)}: their rows are quarantined"
        )
    value = each.positions.get("value")
    if value is not None:
        yield "  " + _described_weights(samples, value, weights)


def _described_weights(samples: Samples, value: int, weights: WeightSettings) -> str:
    name = printable(samples.columns[value])
    if weights.weight_column is not None:
        return f"weight = {name}, such as {printable(samples.example(value))}"
    given = {key.casefold(): weight for key, weight in weights.event_weights.items()}
    counts = Counter(samples.present(value)).most_common(_MAX_TYPES)
    parts = [
        f"{printable(kind)} {given[kind.casefold()]:g}"
        if kind.casefold() in given
        else f"{printable(kind)} unknown"
        for kind, _ in counts
    ]
    return f"weight by {name}: {', '.join(parts)}"


def _warnings(each: Explained) -> Iterator[str]:
    yield from each.warnings
    n_lines = each.samples.n_rows + each.samples.n_left_out
    if each.samples.n_left_out > _MAX_SHARE * n_lines:
        yield (
            f"{each.samples.n_left_out / n_lines:.0%} of the sampled lines have another number of fields "
            "than the columns: they are quarantined"
        )
    for role in ("user", "item"):
        position = each.positions[role]
        if position is None or each.samples.n_rows < _MIN_ROWS:
            continue
        value, share = each.samples.most_frequent(position)
        if is_heavy(role, share, each.samples.n_distinct(position)):
            yield f"one {role}, {printable(value)}, has {share:.0%} of the sampled events"
        values = each.samples.present(position)
        rounded = [text for text in values if _ROUNDED.fullmatch(text)]
        if len(rounded) > _MAX_SHARE * len(values):
            yield (
                f"{len(rounded) / len(values):.0%} of the sampled {role}s are rounded numbers, such as "
                f"{rounded[0]}: a spreadsheet has dropped digits, and several {role}s may have become one; "
                "export the column as text"
            )
        nulls = each.samples.null_share(position)
        if nulls > _MAX_SHARE:
            yield f"{nulls:.0%} of the sampled rows have no {role}"


def _yaml(value: Any) -> str:
    """A value of a setting in YAML, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}"
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
    return value if is_plain else json.dumps(value, ensure_ascii=False)
