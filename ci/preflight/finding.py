"""Result of one check of an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

MAX_MESSAGE = 160


class Status(StrEnum):
    """Whether the account has what the stage needs. An error of a check is never a success."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "could not be checked"
    LATER = "after pulumi up"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table.

    Attributes:
        subject: what was checked.
        needed, present: what the stage needs, and what the account has; empty if the status says it all.
        action: what to do, empty if nothing.
    """

    subject: str
    status: Status
    needed: str = ""
    present: str = ""
    action: str = ""


def found(subject: str, is_there: bool, *, action: str, needed: str = "", present: str = "") -> Finding:
    """`OK`, or `MISSING` with what to do."""
    return Finding(
        subject=subject,
        status=Status.OK if is_there else Status.MISSING,
        needed=needed,
        present=present,
        action="" if is_there else action,
    )


def findings_of(subject: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Findings of a check; an error of AWS or of the network makes the subject `UNKNOWN`."""
    try:
        return list(check())
    except (BotoCoreError, ClientError) as error:
        message = _short(error)
        return [
            Finding(
                subject=subject,
                status=Status.UNKNOWN,
                present=message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…",
                action="check it by hand, or run the preflight with credentials that may read it",
            )
        ]


def _short(error: BotoCoreError | ClientError) -> str:
    """Operation, code and message of an error of AWS in one line."""
    if isinstance(error, ClientError):
        message = error.response.get("Error", {}).get("Message", "")
        text = f"{error.operation_name}: {error_code(error)}: {message}"
    else:
        text = str(error)
    return " ".join(text.split())


def error_code(error: ClientError) -> str:
    """Error code of a response, such as ``NoSuchEntity``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def response_or_none(call: Callable[[], Any], *absent: str) -> Any:
    """Response of a call; None if it fails with one of the error codes of an absent object.

    Raises:
        ClientError: the call fails with another code.
    """
    try:
        return call()
    except ClientError as error:
        if error_code(error) not in absent:
            raise
        return None
