"""Regular expressions of the service models, which are Java's, compiled for Python."""

from __future__ import annotations

import functools
import re
from typing import Any

import regex  # \p{…} classes, which `re` does not have

# Java's classes without UNICODE_CHARACTER_CLASS; Python's contain all scripts.
ASCII_CLASSES = {"w": "a-zA-Z0-9_", "d": "0-9", "s": r" \t\n\x0b\f\r"}
# A surrogate pair stands for one character in Java: the range of all of them, and a pair with an escape.
SURROGATE_RANGE = r"\uD800\uDC00-\uDBFF\uDFFF"
ALL_SUPPLEMENTARY = r"\U00010000-\U0010FFFF"

# Patterns of the models that the services themselves do not apply, and what they accept.
CORRECTED = {
    # ResourceArn of S3 Control: bucket ARNs have neither region nor account (S3 user guide, "Bucket tags").
    "arn:[^:]+:s3(express)?:[^:].*": "arn:[^:]+:s3(express)?:.*",
}


@functools.cache
def compile_pattern(pattern: str) -> Any:
    """Compiled pattern; use ``fullmatch``, because the services match the whole value.

    Raises:
        re.error, regex.error: the pattern is invalid or uses a feature of Java that neither library has.
    """
    translated = translate(CORRECTED.get(pattern, pattern))
    try:
        return re.compile(translated)
    except re.error:
        return regex.compile(translated)


def translate(pattern: str) -> str:
    r"""Replace what means something else in Python: ``\w``, ``\d``, ``\s``, ``\z`` and surrogate pairs.

    >>> translate(r"[\w-_]\z")
    '[a-zA-Z0-9_\\-_]\\Z'
    """
    pattern = pattern.replace(SURROGATE_RANGE, ALL_SUPPLEMENTARY)
    parts: list[str] = []
    in_class = False
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        following = pattern[position + 1 : position + 2]
        if letter == "\\" and following:
            position += 2
            if following in ASCII_CLASSES:
                inner = ASCII_CLASSES[following]
                parts.append(inner if in_class else f"[{inner}]")
                if (
                    in_class
                    and pattern[position : position + 1] == "-"
                    and pattern[position + 1 :][:1] != "]"
                ):
                    parts.append(r"\-")  # a class cannot be the start of a range
                    position += 1
            else:
                parts.append(r"\Z" if following == "z" else letter + following)
            continue
        if letter == "[" and in_class:
            parts.append(r"\[")
        else:
            in_class = letter == "[" or (in_class and letter != "]")
            parts.append(letter)
        position += 1
    return "".join(parts)
