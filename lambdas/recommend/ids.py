"""Ids of users and items in requests, and the error response for a field that is not valid."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

MAX_ID_BYTES = 512  # in UTF-8

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE_NUMBER = re.compile(r"(?:-(?=0\.))?(-?[0-9]+)\.0+")  # group 1: the number; -0.0 is 0


class ApiError(Exception):
    """Error response.

    Args:
        status: HTTP status.
        code: machine-readable error code.
        message: the cause and the expected input.
    """

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def invalid_parameter(message: str) -> ApiError:
    """The response 400; the message begins with the field."""
    return ApiError(HTTPStatus.BAD_REQUEST, "InvalidParameter", message)


def id_of(field: str, value: Any) -> str:
    """An id of a user or item: not blank, at most 512 bytes in UTF-8, no control character.

    Raises:
        ApiError: 400, naming the field.
    """
    if not isinstance(value, str) or not _is_id(value):
        raise invalid_parameter(
            f"{field}: send a string of 1 to {MAX_ID_BYTES} bytes in UTF-8 without control characters"
        )
    return value


def _is_id(text: str) -> bool:
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return n_bytes <= MAX_ID_BYTES and bool(text.strip(" ")) and not _CONTROL_CHARACTER.search(text)


def canonical_id(text: str) -> str:
    """The id that a text stands for: without white space at its ends, and ``7`` for ``7.0``."""
    trimmed = text.strip(" \t\n\v\f\r\u00a0\u1680\u2007\u202f\u3000\ufeff")
    number = _WHOLE_NUMBER.fullmatch(trimmed)
    return number[1] if number else trimmed
