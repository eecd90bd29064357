"""Layout of a file of lines, delimited text or JSON, from its first bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ml.preparation.detect.columns import ColumnNames, find_columns, require_columns
from ml.preparation.detect.dialect import LINE_END
from ml.preparation.detect.encoding import decode, detect_encoding, require_encoding
from ml.preparation.detect.hints import TextHints
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.json_array import array_elements
from ml.preparation.detect.json_rows import parse_objects, sample_objects
from ml.preparation.detect.layout import JsonLayout, TextLayout
from ml.preparation.detect.lists import refuse_lists
from ml.preparation.detect.samples import Samples
from ml.preparation.detect.text_layout import detect_text

_MAX_OBJECTS = 500
_SQL = re.compile(r"^\s*(?:CREATE TABLE|INSERT INTO|COPY \S+ \(.*FROM stdin)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class DetectedRows:
    """The layout of a file of lines, with what it was found from."""

    layout: TextLayout | JsonLayout
    samples: Samples
    skipped: tuple[str, ...] = ()  # lines before the header or the first row
    warnings: tuple[str, ...] = ()


def detect_rows(
    head: bytes,
    file_format: str,
    hints: TextHints,
    names: ColumnNames,
    uri: str,
    *,
    is_cut: bool,
    partitions: Mapping[str, str] | None = None,
) -> DetectedRows | None:
    """Detect the layout of a file of lines; None if all its lines are blank.

    Args:
        head: its first bytes, decompressed.
        file_format: ``jsonl``; anything else is delimited text.
        hints: configured properties.
        names: the columns that are needed.
        uri: the file, for messages.
        is_cut: whether the file goes on after `head`.
        partitions: keys and values of the folders on its path, which are columns, too.

    Raises:
        InputError: a column cannot be identified.
    """
    try:
        detected, mark_bytes = detect_encoding(head)
        encoding = detected if mark_bytes else hints.encoding or detected
        text = whole_lines(decode(head[mark_bytes:], encoding), is_cut=is_cut)
        if hints.encoding is not None:
            require_encoding(text, encoding)
    except InputError as error:
        raise InputError(f"{uri}: {error}") from None
    if file_format == "jsonl":
        return _detect_json(text, names, uri, encoding, partitions or {})
    if _SQL.search(text):
        raise InputError(f"{uri}: an SQL dump; export the table as CSV or Parquet")
    if _json_lists(text):
        raise InputError(f"{uri}: JSON lists, whose values have no names; write one object per line")
    found = detect_text(text, hints, names, uri, encoding, partitions=partitions)
    return None if found is None else DetectedRows(found.layout, found.samples, found.skipped, found.warnings)


def whole_lines(text: str, *, is_cut: bool) -> str:
    """The text without a last line that the limit cuts off, unless it is the only one."""
    if not is_cut:
        return text
    end = max(text.rfind("\n"), text.rfind("\r"))
    return text[:end] if end > 0 else text


def _json_lists(text: str) -> bool:
    """Whether the first line is, or begins, a list of JSON."""
    try:
        elements = list(islice(array_elements([text]), 1)) if text.lstrip().startswith("[") else []
        return bool(elements) and isinstance(json.loads(elements[0]), int | float | str | list)
    except ValueError:
        return False


def _detect_json(
    text: str, names: ColumnNames, uri: str, encoding: str, partitions: Mapping[str, str]
) -> DetectedRows | None:
    lines = [line for line in LINE_END.split(text) if line.strip()]
    if not lines:
        return None
    objects, is_python = parse_objects(lines[:_MAX_OBJECTS])
    if not objects:
        advice = "write one whole object per line"
        if text.lstrip().startswith("{"):
            advice += ", as jq -c '.events[]' does for the objects of a list in one large object"
        raise InputError(f"{uri}: none of the first lines is a JSON object; {advice}")
    own = sample_objects(objects)
    samples = own.with_constants(partitions)
    try:
        choice = find_columns(samples.columns, names, samples)
    except InputError as error:
        raise InputError(f"{uri}: {error}") from None
    positions = require_columns(choice, samples.columns, names, uri)
    refuse_lists(samples, positions, names, uri, is_text=False)
    paths: dict[str, Any] = {
        role: None if position is None else samples.columns[position] for role, position in positions.items()
    }
    used = tuple(key for key in samples.columns[len(own.columns) :] if key in paths.values())
    layout = JsonLayout(**paths, is_python=is_python, encoding=encoding, partitions=used)
    samples = own.with_constants({key: partitions[key] for key in used})
    return DetectedRows(layout, samples, (), tuple(choice.warnings))
