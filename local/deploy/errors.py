"""Why a deployment or a preview ended; each message is one line that names what is wrong."""

from __future__ import annotations


class DeployError(Exception):
    """A stage could not be deployed or previewed."""


class ProjectError(DeployError):
    """A project or stage file cannot be used; the message names the file and the key."""


class ProgramError(DeployError):
    """The program registered something that cannot be; the message names the resource."""


class CreateError(DeployError):
    """A resource could not be created; the message names it and the cause."""


class MissingInputError(CreateError):
    """A creator needs an input that the program does not give."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the input {key} is missing")


class UnusedInputError(DeployError):
    """A creator left inputs aside: the embedded cloud would silently differ from AWS."""

    def __init__(self, type_: str, name: str, keys: list[str]) -> None:
        super().__init__(f"{type_} {name}: the embedded cloud does not use the input {', '.join(keys)}")
        self.keys = keys
