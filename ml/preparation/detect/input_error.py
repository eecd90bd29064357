"""Refusal of an input or argument; apart from :mod:`ml.preparation.errors`, which imports Spark."""

from __future__ import annotations

import re

_DOCUMENTATION = re.compile(
    r"(readme|licen[cs]e|changelog|citation)([-_.][^/]*)?|[^/]*\.(md|rst)", re.IGNORECASE
)

_MAX_LISTED_CHARACTERS = 40  # of a name or value


class InputError(Exception):
    """Unusable input or argument; the message names it and the fix."""


def is_documentation(name: str) -> bool:
    """Whether a file beside the data is documentation by its name; such files of a folder are not read."""
    return _DOCUMENTATION.fullmatch(name) is not None


def beside_readable(error: InputError, readable: str | None) -> InputError:
    """The refusal of a file of a folder, with a file that has all columns, if there is one.

    A file without the columns is not passed over: it may be a day of events whose columns were renamed.
    """
    if readable is None:
        return error
    return InputError(
        f"{error}; {readable} has all columns: if the other files hold no events, give that one, or a folder "
        "without them"
    )


def printable(text: str) -> str:
    """A name or value for a message: one line, without control characters."""
    shown = text[:_MAX_LISTED_CHARACTERS]
    return "".join(character if character.isprintable() else "?" for character in shown)


def quoted(name: str) -> str:
    """A name as it is given in a shell."""
    return name if re.fullmatch(r"[\w.:\-]+", name) else f"'{name}'"
