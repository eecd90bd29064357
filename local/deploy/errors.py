"""Errors of deployment and preview; each message is one line."""

from __future__ import annotations

from local.errors import BadInputError, StepFailedError


class ProjectError(BadInputError):
    """Invalid project or stage file; the message names the file or the key."""


class ProgramError(StepFailedError):
    """The Pulumi program failed; the reason names the resource or the line."""

    def __init__(self, reason: str) -> None:
        super().__init__("the Pulumi program", reason)


class CreateError(ProgramError):
    """A resource could not be created; the reason names the resource and the cause."""


class MissingInputError(CreateError):
    """A creator requires an input that the program does not set."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the input {key} is missing")


class UnusedInputError(CreateError):
    """Inputs without effect: the creator did not read them, or the service did not return them."""

    def __init__(self, type_: str, name: str, keys: list[str]) -> None:
        super().__init__(f"{type_} {name}: the emulator does not honour the input {', '.join(keys)}")
        self.keys = keys
