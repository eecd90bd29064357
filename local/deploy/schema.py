"""Outputs of resource types, read from the classes of the provider's SDK."""

from __future__ import annotations

import functools
import importlib
import keyword
import types
import typing

import pulumi
from pulumi import _types


class UnknownTypeError(LookupError):
    """The AWS provider has no resource type of this name."""


@functools.cache
def resource_class(type_token: str) -> type[pulumi.Resource]:
    """SDK class of a type token, for example `aws:s3/bucket:Bucket` is `pulumi_aws.s3.Bucket`.

    Raises:
        UnknownTypeError: the SDK has no such class.
    """
    package, module, name = type_token.split(":")
    folder = module.split("/")[0]
    try:
        parent = importlib.import_module(
            f"pulumi_{package}.{folder}{'_' if keyword.iskeyword(folder) else ''}"
        )
        return typing.cast(type[pulumi.Resource], getattr(parent, name))
    except (ImportError, AttributeError):
        raise UnknownTypeError(f"{type_token}: no such resource type in pulumi_{package}") from None


@functools.cache
def outputs(type_token: str) -> dict[str, type]:
    """Outputs of a type: wire name to Python type, without Optional."""
    return dict(_types.resource_types(resource_class(type_token)))


@functools.cache
def required_outputs(type_token: str) -> frozenset[str]:
    """Wire names of the outputs that the provider always returns."""
    cls = resource_class(type_token)
    python_names = _types.resource_pulumi_to_py_names(cls)
    return frozenset(
        name for name in outputs(type_token) if not _is_optional(cls, python_names.get(name, name))
    )


def _is_optional(cls: type, attribute: str) -> bool:
    annotation = typing.get_type_hints(getattr(cls, attribute).fget)["return"]  # Output[T]
    (inner,) = typing.get_args(annotation)
    union = typing.get_origin(inner) in (typing.Union, types.UnionType)
    return union and type(None) in typing.get_args(inner)
