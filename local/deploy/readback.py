"""Comparison of a resource's parameters with its description by the service."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MISSING = object()


def differences(sent: Mapping[str, Any], read: Mapping[str, Any]) -> list[str]:
    """Paths of the parameters that the service does not return as sent, in Pulumi's spelling of inputs.

    `{"LoggingConfig": {"LogGroup": "a"}}` and `{}` differ in `["loggingConfig"]`. Additional keys, another
    order of a list and another layout of a JSON document are not differences.
    """
    return sorted(_differences(sent, read, ""))


def _differences(sent: Any, read: Any, path: str) -> Iterator[str]:
    if isinstance(sent, Mapping) and isinstance(read, Mapping):
        for key, value in sent.items():
            yield from _differences(value, read.get(key, MISSING), _join(path, key))
    elif isinstance(sent, list) and isinstance(read, list):
        left = list(read)
        for item in sent:
            match = next((other for other in left if _same(item, other)), MISSING)
            if match is MISSING:
                yield f"{path}[]"
                return
            left.remove(match)
        if left:
            yield path
    elif not _same_scalar(sent, read):
        yield path


def _same(sent: Any, read: Any) -> bool:
    return next(_differences(sent, read, ""), MISSING) is MISSING


def _join(path: str, key: str) -> str:
    name = key[:1].lower() + key[1:]
    return f"{path}.{name}" if path else name


def _same_scalar(sent: Any, read: Any) -> bool:
    if sent == read:
        return True
    if read is MISSING:
        return sent in ({}, [], "", None)
    if isinstance(sent, bool) or isinstance(read, bool):
        return str(sent).lower() == str(read).lower()
    if isinstance(sent, int | float) or isinstance(read, int | float):
        return str(sent) == str(read)
    return isinstance(sent, str) and _same_json(sent, read)


def _same_json(sent: str, read: Any) -> bool:
    """Whether both are the same JSON document; boto3 returns some documents parsed."""
    if not sent.startswith(("{", "[")):
        return False
    try:
        return bool(json.loads(sent) == (json.loads(read) if isinstance(read, str) else read))
    except ValueError:
        return False
