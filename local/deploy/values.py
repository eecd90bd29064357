"""Property values of the protocol between a Pulumi program and its engine.

The wire format is a protobuf `Struct` in which secrets, assets, archives and resource references
are objects with a signature key (Pulumi, `sdk/go/common/resource/properties.go`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

_SIGNATURE = rpc._special_sig_key  # the SDK has no public name for these
_SECRET = rpc._special_secret_sig

UNKNOWN = rpc.UNKNOWN  # placeholder of an unknown value
MASK = "[secret]"


def decode(
    struct: struct_pb2.Struct, *, secret: Callable[[Any], Any] = lambda value: value
) -> dict[str, Any]:
    """Python values of a wire `Struct`: whole numbers as int, assets as Pulumi's asset objects.

    Args:
        secret: maps the decoded value of a secret; by default to itself.
    """
    return {key: _decode(value, secret) for key, value in json_format.MessageToDict(struct).items()}


def _decode(value: Any, secret: Callable[[Any], Any]) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # numbers of a Struct are floating-point
    if isinstance(value, list):
        return [_decode(item, secret) for item in value]
    if isinstance(value, dict):
        return _decode_object(value, secret)
    return value


def _decode_object(value: dict[str, Any], secret: Callable[[Any], Any]) -> Any:
    match value.get(_SIGNATURE):
        case None:
            return {key: _decode(item, secret) for key, item in value.items()}
        case rpc._special_secret_sig:
            return secret(_decode(value["value"], secret))
        case rpc._special_asset_sig:
            return _asset(value)
        case rpc._special_archive_sig:
            return _archive(value, secret)
        case rpc._special_resource_sig:
            return value.get("id") or value["urn"]
        case other:
            raise ValueError(f"a property value has the unknown signature {other}")


def _asset(value: dict[str, Any]) -> pulumi.Asset:
    if "path" in value:
        return pulumi.FileAsset(value["path"])
    if "text" in value:
        return pulumi.StringAsset(value["text"])
    return pulumi.RemoteAsset(value["uri"])


def _archive(value: dict[str, Any], secret: Callable[[Any], Any]) -> pulumi.Archive:
    if "assets" in value:
        return pulumi.AssetArchive({key: _decode(item, secret) for key, item in value["assets"].items()})
    if "path" in value:
        return pulumi.FileArchive(value["path"])
    return pulumi.RemoteArchive(value["uri"])


def encode(
    properties: Mapping[str, Any], secrets: frozenset[str] | set[str] = frozenset()
) -> struct_pb2.Struct:
    """Wire `Struct` of Python values; the keys in `secrets` are marked as secret."""
    marked = {
        key: {_SIGNATURE: _SECRET, "value": value} if key in secrets else value
        for key, value in properties.items()
        if value is not None
    }
    return json_format.ParseDict(marked, struct_pb2.Struct())


def secret_keys(struct: struct_pb2.Struct) -> set[str]:
    """Top-level keys whose value is or contains a secret."""
    return {key for key, value in json_format.MessageToDict(struct).items() if _holds_secret(value)}


def _holds_secret(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_secret, value))
    if isinstance(value, dict):
        return value.get(_SIGNATURE) == _SECRET or any(map(_holds_secret, value.values()))
    return False


def is_unknown(value: Any) -> bool:
    """Whether a decoded value is or contains an unknown value."""
    if isinstance(value, list):
        return any(map(is_unknown, value))
    if isinstance(value, dict):
        return any(map(is_unknown, value.values()))
    return value == UNKNOWN


def asset_bytes(asset: pulumi.Asset, root: Path) -> bytes:
    """Content of an asset; relative paths refer to the project's root.

    Raises:
        FileNotFoundError: the asset's file does not exist.
        ValueError: the asset is remote, which is not supported offline.
    """
    if isinstance(asset, pulumi.StringAsset):
        return asset.text.encode()
    if isinstance(asset, pulumi.FileAsset):
        return (root / asset.path).read_bytes()
    raise ValueError(f"a remote asset ({getattr(asset, 'uri', asset)}) is not available offline")


def archive_entries(archive: pulumi.Archive, root: Path) -> dict[str, bytes]:
    """Files of an archive by path inside it, sorted; archive files (zip) are not unpacked.

    Raises:
        ValueError: the archive is remote, or its path is not a folder.
    """
    entries: dict[str, bytes] = {}
    if isinstance(archive, pulumi.FileArchive):
        entries = _folder_entries(root / archive.path)
    elif isinstance(archive, pulumi.AssetArchive):
        for name, item in archive.assets.items():
            if isinstance(item, pulumi.Archive):
                inner = archive_entries(item, root)
                entries |= {f"{name}/{path}": data for path, data in inner.items()}
            else:
                entries[name] = asset_bytes(item, root)
    else:
        raise ValueError(f"a remote archive ({getattr(archive, 'uri', archive)}) is not available offline")
    return dict(sorted(entries.items()))


def _folder_entries(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    return {
        Path(base, file).relative_to(folder).as_posix(): Path(base, file).read_bytes()
        for base, _, files in os.walk(folder)
        for file in files
    }


def fingerprint(value: pulumi.Asset | pulumi.Archive, root: Path) -> dict[str, Any]:
    """Summary of an asset or archive for listings: path, number of bytes and SHA-256."""
    if isinstance(value, pulumi.Asset):
        data = asset_bytes(value, root)
        origin = {"path": _relative(value.path, root)} if isinstance(value, pulumi.FileAsset) else {}
        return {**origin, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(value, pulumi.FileArchive) and (root / value.path).is_file():
        return fingerprint(pulumi.FileAsset(value.path), root)
    digest = hashlib.sha256()
    entries = archive_entries(value, root)
    for name, data in entries.items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    source = {"path": _relative(value.path, root)} if isinstance(value, pulumi.FileArchive) else {}
    return {
        **source,
        "entries": list(entries),
        "bytes": sum(map(len, entries.values())),
        "sha256": digest.hexdigest(),
    }


def _relative(path: str, root: Path) -> str:
    """Path relative to the project's folder; paths outside of it stay unchanged."""
    whole = root / path
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else path
