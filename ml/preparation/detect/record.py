"""Record of how an input was read: an object of the manifest, and one line of the log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ml.preparation.detect.dialect import separator_name, split_line
from ml.preparation.detect.hints import BACKSLASH, DOUBLED, FIRST_LINE, NO_HEADER, QUOTES
from ml.preparation.detect.layout import AnyLayout, TableLayout, TextLayout
from ml.preparation.detect.paths import LIST
from ml.settings.preparation import WeightSettings

ROLES = ("user", "item", "time", "clock", "value")
_FORMATS = {"jsonl": "JSON lines", "parquet": "Parquet", "orc": "ORC"}


def record_of(layout: AnyLayout, time_form: str | None, time_zone: str, n_files: int) -> dict[str, Any]:
    """How some files were read, as an object of the manifest.

    Args:
        layout: of the files.
        time_form: a key of ml.preparation.detect.times.FORMS, or a pattern of strptime; None without times.
        time_zone: of times without one.
        n_files: number of the files.
    """
    chosen = {role: getattr(layout, role) for role in ROLES}
    chosen = {role: column for role, column in chosen.items() if column is not None}
    times = {"time_format": time_form, "time_zone": None if time_form is None else time_zone}
    if not isinstance(layout, TextLayout):
        file_format = getattr(layout, "format", "jsonl")
        types = _types(layout, chosen) if isinstance(layout, TableLayout) and layout.schema else {}
        return {"files": n_files, "format": file_format, "columns": chosen, **types, **times}
    header = header_of(layout)
    names = [*header, *layout.partitions]
    columns = {role: names[position] for role, position in chosen.items()}
    if layout.has_item_lists:
        columns["item"] += LIST
    return {
        "files": n_files,
        "format": "text",
        "separator": layout.separator,
        "encoding": layout.encoding,
        "quote": layout.quote,
        "escape": layout.escape,
        "multiline": layout.is_multiline,
        "skip_lines": layout.skip_lines,
        "comment": layout.comment,
        "header": header if layout.header is not None else None,
        "n_columns": layout.n_columns,
        "columns": columns,
        **times,
    }


def _types(layout: TableLayout, chosen: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Spark's type of each chosen column that is not nested."""
    kinds = {each["name"]: each["type"] for each in json.loads(layout.schema)["fields"]}
    return {"types": {role: kinds[name] for role, name in chosen.items() if isinstance(kinds.get(name), str)}}


def record_line(record: Mapping[str, Any]) -> str:
    """One line of a record: format, separator, encoding, header, columns by role, form and zone of times."""
    parts = [_FORMATS.get(record["format"], record["format"])]
    if record["format"] == "text":
        parts = [f"text separated by {separator_name(record['separator'])}", record["encoding"]]
        parts.append("no header" if record["header"] is None else "with header")
        parts += ["line breaks in quotes"] if record["multiline"] else []
    parts += [f"{role} = {column}" for role, column in record["columns"].items()]
    if record["time_format"] is not None:
        parts.append(f"times as {record['time_format']}, {record['time_zone']} if they have no zone")
    else:
        parts.append("no time")
    return f"{record['files']} file(s) as {', '.join(parts)}"


def header_of(layout: TextLayout) -> list[str]:
    """The names of the columns; positions ``#1``, ``#2`` without a header."""
    if layout.header is None:
        return [f"#{number + 1}" for number in range(layout.n_columns)]
    return split_line(layout.header, layout.separator, layout.quote, layout.escape)


def settings_of_record(record: Mapping[str, Any], weights: WeightSettings) -> dict[str, Any]:
    """The explicit settings that read files as in a record, by name.

    Of a file without a header, columns are given by their position.
    """
    settings: dict[str, Any] = {
        f"{role}_column": column for role, column in record["columns"].items() if role != "value"
    }
    if record["time_format"] is None:
        settings["no_time"] = True
    elif record["format"] not in ("parquet", "orc", "avro"):  # whose times may have a type
        settings["time_format"] = record["time_format"]
    if record["format"] == "text":
        quotes = {text or None: name for name, text in QUOTES.items()}
        settings["separator"] = separator_name(record["separator"])
        settings["encoding"] = record["encoding"]
        settings["quote"] = quotes[record["quote"]]
        if record["quote"] is not None:
            settings["escape"] = DOUBLED if record["escape"] == record["quote"] else BACKSLASH
        settings["header"] = NO_HEADER if record["header"] is None else FIRST_LINE
    if "value" in record["columns"]:
        role = "event_column" if weights.event_weights else "weight_column"
        settings[role] = record["columns"]["value"]
        settings |= {"event_weights": dict(weights.event_weights)} if weights.event_weights else {}
    return settings
