"""A recorded definition needs no session of the SageMaker SDK."""

from __future__ import annotations

from typing import Any


class DefinitionSession:
    """Session with which nothing is done."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        del arguments, options
