"""Why a deployment or a preview ended; each is one line that names what is wrong."""

from __future__ import annotations

from local.errors import BadInputError, StepFailedError


class ProjectError(BadInputError):
    """A project or stage file cannot be used; the message names the file or the key."""


class ProgramError(StepFailedError):
    """The program cannot be run to its end; the reason names the resource or the line."""

    def __init__(self, reason: str) -> None:
        super().__init__("the Pulumi program", reason)


class CreateError(ProgramError):
    """A resource could not be created; the reason names it and the cause."""


class MissingInputError(CreateError):
    """A creator needs an input that the program does not give."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the input {key} is missing")


class UnusedInputError(CreateError):
    """A creator left inputs aside, or the service dropped them: silently it would differ from AWS."""

    def __init__(self, type_: str, name: str, keys: list[str]) -> None:
        super().__init__(f"{type_} {name}: the emulator does not honour the input {', '.join(keys)}")
        self.keys = keys
