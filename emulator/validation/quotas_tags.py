"""Limits of tags, which nearly all services share (AWS general reference, "Tagging your AWS resources")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emulator.validation.constraints import Violation

MAX_TAGS = 50  # per resource
MAX_OBJECT_TAGS = 10  # S3 user guide, "Categorizing your objects using tags"
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
RESERVED_PREFIX = "aws:"
MEMBERS = ("Tags", "tags", "ResourceTags", "TagList", "TagSet")


def exceeded(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Violation]:
    """Limits that the tags of a request exceed."""
    limit = MAX_OBJECT_TAGS if (service, operation) == ("s3", "PutObjectTagging") else MAX_TAGS
    for path, tags in _tag_lists(parameters):
        if len(tags) > limit:
            yield Violation(path, "length", f"Member must have length less than or equal to {limit}", None)
        for number, (key, value) in enumerate(tags, 1):
            where = f"{path}.{number}.member"
            if key.lower().startswith(RESERVED_PREFIX):
                yield Violation(
                    f"{where}.key", "pattern", "Member must not begin with aws:, which is reserved", key
                )
            if not 1 <= len(key) <= MAX_TAG_KEY:
                text = f"Member must have length between 1 and {MAX_TAG_KEY}"
                yield Violation(f"{where}.key", "length", text, key)
            if len(value) > MAX_TAG_VALUE:
                text = f"Member must have length less than or equal to {MAX_TAG_VALUE}"
                yield Violation(f"{where}.value", "length", text, value)


def _tag_lists(parameters: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """(path, tags) of each tag list: at the top, in ``Tagging`` of S3 and ``TagSpecifications`` of EC2."""
    holders = [("", parameters)]
    if isinstance(nested := parameters.get("Tagging"), Mapping):
        holders.append(("tagging.", nested))
    for number, item in enumerate(parameters.get("TagSpecifications") or [], 1):
        holders.append((f"TagSpecification.{number}.", item))
    for prefix, holder in holders:
        for member in MEMBERS:
            if tags := _pairs(holder.get(member)):
                yield f"{prefix}{member[0].lower()}{member[1:]}", tags


def _pairs(tags: Any) -> list[tuple[str, str]]:
    """Tags as pairs, from a mapping or a list of ``Key`` and ``Value`` or ``TagKey`` and ``TagValue``."""
    if isinstance(tags, Mapping):
        return [(str(key), str(value or "")) for key, value in tags.items()]
    if not isinstance(tags, list):
        return []
    found = [{name.lower(): value for name, value in tag.items()} for tag in tags if isinstance(tag, Mapping)]
    keyed = [(tag.get("key", tag.get("tagkey")), tag.get("value", tag.get("tagvalue"))) for tag in found]
    return [(str(key), str(value or "")) for key, value in keyed if key is not None]
