"""Calls that accept missing resources: an earlier teardown or `pulumi destroy` may have deleted them."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

MISSING_CODES = ("ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket")
# SageMaker has no specific error code for most missing resources.
MISSING_TEXTS = ("could not find", "does not exist", "cannot be found")


def listed(client: Any, operation: str, key: str, **request: Any) -> list[Any]:
    """The items of every page of a list; none if what they belong to does not exist."""
    try:
        pages = client.get_paginator(operation).paginate(**request)
        return [each for page in pages for each in page.get(key, [])]
    except ClientError as error:
        if not is_missing(error):
            raise
        return []


def exists(describe: Any, **name: str) -> bool:
    """Whether a resource exists."""
    try:
        describe(**name)
    except ClientError as error:
        if not is_missing(error):
            raise
        return False
    return True


def delete_if_exists(delete: Any, **name: str) -> None:
    """Delete a resource that may be gone already."""
    try:
        delete(**name)
    except ClientError as error:
        if not is_missing(error):
            raise


def is_missing(error: ClientError) -> bool:
    """Whether an error says that a resource does not exist."""
    text = str(error).lower()
    return error.response["Error"]["Code"] in MISSING_CODES or any(each in text for each in MISSING_TEXTS)
