"""Inputs of a resource type in the SDK, with their nested fields, and their paths in Terraform."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi import _types

from local.deploy import schema
from local.replacements.names import argument_name


def input_paths(type_token: str) -> Iterator[tuple[str, ...]]:
    """Wire names of all inputs of a type; nested fields as (`rules`, `expiration`, `days`)."""
    cls = schema.resource_class(type_token)
    module = vars(sys.modules[cls.__module__])
    # BucketVersioningInitArgs: a nested type has the name BucketVersioningArgs.
    yield from _fields(module.get(f"{cls.__name__}InitArgs") or module[f"{cls.__name__}Args"], ())


def _fields(args: type, prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, annotation in sorted(_types.input_type_types(args).items()):
        yield (*prefix, name)
        nested = _nested_args(annotation)
        if nested is not None:
            yield from _fields(nested, (*prefix, name))


def _nested_args(annotation: Any) -> type | None:
    """Class of the fields of an object or of the items of a list."""
    if isinstance(annotation, type):
        return annotation if _types.is_input_type(annotation) else None
    if isinstance(annotation, str):  # an unresolved name is no class of fields
        return None
    found = map(_nested_args, typing.get_args(annotation))
    return next((each for each in found if each is not None), None)


def terraform_path(path: tuple[str, ...], block: Any, kind: str) -> tuple[str, ...]:
    """Path of an input in the provider's schema; fields of attributes end at the attribute.

    Raises:
        LookupError: the provider has no such argument.
    """
    known: Mapping[str, Any] = {
        **{each.name: None for each in block.attributes},
        **{each.type_name: each.block for each in block.block_types},
    }
    name = argument_name(path[0], known, kind)
    if len(path) == 1 or known[name] is None:
        return (name,)
    return (name, *terraform_path(path[1:], known[name], kind))
