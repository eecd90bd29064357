"""Elements of a JSON array, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

MAX_ELEMENT_CHARACTERS = 16 * 1024 * 1024  # a longer element is not looked for any further
_SPACE = " \t\r\n"


def array_elements(chunks: Iterable[str]) -> Iterator[str]:
    """The elements of an array as JSON text in one line each, as they are written.

    From an element that is not JSON on, the rest is one last element.

    Args:
        chunks: the text of the array, in parts of any length.
    """
    parse = json.JSONDecoder().raw_decode
    parts = iter(chunks)
    text, position, has_begun = "", 0, False
    while True:
        begin, position = position, _skip(text, position, _SPACE + ("," if has_begun else "\ufeff["))
        has_begun = has_begun or "[" in text[begin:position]
        if has_begun and text.startswith("]", position):
            return
        end = None
        if position < len(text):
            try:
                _, end = parse(text, position)
            except (ValueError, RecursionError):
                end = None
        if end is not None and end < len(text):
            yield _in_one_line(text[position:end])
            position = end
            continue
        more = "" if len(text) - position > MAX_ELEMENT_CHARACTERS else next(parts, "")
        if not more:
            if text[position:].strip(_SPACE):
                yield _in_one_line(text[position:])
            return
        text, position = text[position:] + more, 0


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _in_one_line(text: str) -> str:
    # A string in JSON has no line breaks, so that these are between its tokens.
    return text.replace("\r", " ").replace("\n", " ")
