"""Record of how an input was read, for the manifest; the next run reads its input in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ml.preparation.detect.columns import ColumnNames
from ml.preparation.detect.dialect import SEPARATOR_NAMES, split_line
from ml.preparation.detect.encoding import can_decode
from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.layout import AnyLayout, TextLayout
from ml.preparation.detect.rows import DetectedRows
from ml.preparation.detect.text_layout import TextHints

_ROLES = ("user", "item", "time", "clock", "value")
Detect = Callable[[TextHints, ColumnNames], "DetectedRows | None"]


def record_of(layout: AnyLayout, n_files: int) -> dict[str, Any]:
    """How some files were read, as an object of the manifest."""
    chosen = {role: getattr(layout, role) for role in _ROLES}
    if not isinstance(layout, TextLayout):
        columns = {role: path for role, path in chosen.items() if path is not None}
        return {
            "files": n_files,
            "format": getattr(layout, "format", "jsonl"),
            "columns": columns,
            "time_format": layout.time_form,
        }
    header = header_of(layout)
    names = [*header, *layout.partitions]
    columns = {role: names[position] for role, position in chosen.items() if position is not None}
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
        "header": list(header) if layout.header is not None else None,
        "n_columns": layout.n_columns,
        "columns": columns,
        "time_format": layout.time_form,
    }


def header_of(layout: TextLayout) -> list[str]:
    """The names of the columns; positions ``#1``, ``#2`` without a header."""
    if layout.header is None:
        return [f"#{number + 1}" for number in range(layout.n_columns)]
    return split_line(layout.header, layout.separator, layout.quote, layout.escape)


class PreviousLayouts:
    """How the previous run read its input.

    Args:
        records: of its manifest, as `record_of` makes them.
        run: its URI, for messages.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], run: str) -> None:
        self._records, self._run = records, run

    def names(self, file_format: str, names: ColumnNames) -> ColumnNames:
        """The columns that are needed, with those of the previous run where none is configured.

        Args:
            file_format: of the file.
            names: the configured columns.
        """
        record = self._record(file_format)
        if record is None:
            return names
        columns = record["columns"]
        found = {role: columns[role] for role in ("user", "item", "time") if role in columns}
        if "clock" in columns:
            del found["time"]  # a pair of columns is found anew
        if "value" in columns and names.needs_event:
            found["event"] = columns["value"]
        return replace(
            names,
            time_format=names.time_format or record.get("time_format"),
            **{role: name for role, name in found.items() if names.configured(role) is None},
        )

    def detect(
        self, head: bytes, hints: TextHints, names: ColumnNames, detect: Detect
    ) -> DetectedRows | None:
        """Detect the layout of delimited text as the previous run read it.

        Args:
            head: the first bytes of the file.
            hints: configured properties, which come first.
            names: configured columns, which come first.
            detect: detects the layout with these properties.

        Raises:
            InputError: the file has changed so that it cannot be read as before; the message names the run.
        """
        record = self._record("text")
        if record is None:
            return detect(hints, names)
        before = TextHints(
            separator=hints.separator or record["separator"],
            quote=hints.quote if hints.quote is not None else record["quote"] or "",
            escape=hints.escape or record["escape"],
            encoding=hints.encoding or _same_encoding(head, record["encoding"]),
            has_header=hints.has_header if hints.has_header is not None else record["header"] is not None,
        )
        same_names = self.names("text", names)
        try:
            found = detect(before, same_names)
        except InputError:
            found = self._changed(hints, same_names, detect)
        return found and self._with_changes(found, record)

    def _changed(self, hints: TextHints, names: ColumnNames, detect: Detect) -> DetectedRows | None:
        try:
            return detect(hints, names)
        except InputError as error:
            raise InputError(
                f"{error}; the input has changed since {self._run}: give the options of the new columns, or "
                "--previous-run none to start anew"
            ) from None

    def _record(self, file_format: str) -> Mapping[str, Any] | None:
        """The record of the most files of a format."""
        same = [each for each in self._records if each.get("format") == file_format]
        return max(same, key=lambda each: each.get("files", 0), default=None)

    def _with_changes(self, found: DetectedRows, record: Mapping[str, Any]) -> DetectedRows:
        layout = found.layout
        if not isinstance(layout, TextLayout):
            return found
        changes = []
        if layout.separator != record["separator"]:
            old, new = (
                SEPARATOR_NAMES.get(each, repr(each)) for each in (record["separator"], layout.separator)
            )
            changes.append(f"the separator was {old} and is {new}")
        if layout.encoding != record["encoding"]:
            changes.append(f"the encoding was {record['encoding']} and is {layout.encoding}")
        before = record["header"] or [f"#{number + 1}" for number in range(record["n_columns"])]
        after = header_of(layout)
        gone = [each for each in before if each not in after]
        new_columns = [each for each in after if each not in before]
        if gone:
            changes.append(f"column(s) {', '.join(gone)} are gone")
        if new_columns:
            changes.append(f"column(s) {', '.join(new_columns)} are new")
        if not gone and not new_columns and before != after:
            changes.append("the columns are in another order")
        if not changes:
            return found
        return replace(found, warnings=(*found.warnings, f"changed since {self._run}: {'; '.join(changes)}"))


def _same_encoding(head: bytes, encoding: str) -> str | None:
    """The encoding, unless the first bytes are not valid in it."""
    return encoding if can_decode(head, encoding) else None
