"""Input of an operation, read from the request's query string, form, headers, path, JSON or XML.

The result has the model's member names, and the model's numbers and booleans where the wire has text.
Unknown fields and values of other types are kept, for the validation to find.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from botocore.model import ListShape, MapShape, Shape, StructureShape

from emulator.operations import ApiCall
from emulator.validation.constraints import FLOATS, INTEGERS
from emulator.wire import Request, ServiceError

# Fields of query requests that belong to the protocol or the signature.
PROTOCOL_FIELDS = ("Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion")
TRUTH = {"true": True, "false": False}
LOCATIONS = ("uri", "header", "headers", "querystring")


def decode(call: ApiCall, request: Request) -> dict[str, Any]:
    """Input of an operation by member name.

    Raises:
        ServiceError: the body is not well-formed.
    """
    shape = call.model.input_shape
    if shape is None:
        return {}
    if call.protocol.startswith("rest-"):
        return _rest(call, request, shape)
    if request.headers.get("X-Amz-Target"):
        return _from_json(shape, request.json)
    return _query(shape, _form(request), is_ec2=call.protocol == "ec2")


# -- JSON ---------------------------------------------------------------------------------------------
def _from_json(shape: Shape, value: Any) -> Any:
    """Rename fields whose name on the wire differs; only REST services have such."""
    if isinstance(shape, StructureShape) and isinstance(value, dict) and not shape.is_document_type:
        members = _members_by_wire_name(shape)
        renamed = {}
        for name, item in value.items():
            member = members.get(name)
            if item is not None and member is None:
                renamed[name] = item
            elif item is not None and member is not None:
                renamed[member[0]] = _from_json(member[1], item)
        return renamed
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_from_json(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _from_json(shape.value, item) for name, item in value.items()}
    return value


@functools.lru_cache(maxsize=4096)
def _members_by_wire_name(shape: StructureShape) -> dict[str, tuple[str, Shape]]:
    """(member name, shape) of the body's members by their name in JSON or XML."""
    found = {}
    for name, member in shape.members.items():
        if member.serialization.get("location") in LOCATIONS:
            continue
        wire_name = member.serialization.get("name", name)
        if isinstance(member, ListShape) and member.serialization.get("flattened"):
            wire_name = member.member.serialization.get("name", wire_name)
        found[wire_name] = (name, member)
    return found


# -- query strings ------------------------------------------------------------------------------------
def _form(request: Request) -> dict[str, Any]:
    """Fields of a form as a tree: ``Tag.1.Key=a`` is ``{"Tag": {"1": {"Key": "a"}}}``."""
    pairs = parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True)
    tree: dict[str, Any] = {}
    for name, value in pairs:
        if name in PROTOCOL_FIELDS or name.startswith("X-Amz-"):
            continue
        node = tree
        *parents, last = name.split(".")
        for parent in parents:
            child = node.setdefault(parent, {})
            node = child if isinstance(child, dict) else {}
        node[last] = value
    return tree


def _query(shape: Shape, node: Any, *, is_ec2: bool) -> Any:
    read = functools.partial(_query, is_ec2=is_ec2)
    if isinstance(shape, StructureShape) and isinstance(node, Mapping):
        members = _members_by_query_name(shape, is_ec2)
        found = {}
        for name, item in node.items():
            member = members.get(name)
            found[member[0] if member else name] = read(member[1], item) if member else item
        return found
    if isinstance(shape, ListShape):
        if node == "":
            return []
        items = node
        if not is_ec2 and not shape.serialization.get("flattened") and isinstance(node, Mapping):
            items = node.get(shape.member.serialization.get("name", "member"), node)
        return [read(shape.member, item) for item in _numbered(items)]
    if isinstance(node, str):
        return _typed(shape, node)
    if isinstance(shape, MapShape) and isinstance(node, Mapping):
        entries = node if shape.serialization.get("flattened") else node.get("entry", {})
        key, value = (part.serialization.get("name", default) for part, default in _map_parts(shape))
        return {entry.get(key): read(shape.value, entry.get(value)) for entry in _numbered(entries)}
    return node


def _numbered(node: Any) -> Iterable[Any]:
    """Values of ``{"1": …, "2": …}`` in the order of their numbers."""
    if not isinstance(node, Mapping):
        return [node]
    return [node[key] for key in sorted(node, key=lambda key: (not key.isdigit(), key.zfill(9)))]


def _map_parts(shape: MapShape) -> tuple[tuple[Shape, str], tuple[Shape, str]]:
    return (shape.key, "key"), (shape.value, "value")


@functools.lru_cache(maxsize=4096)
def _members_by_query_name(shape: StructureShape, is_ec2: bool) -> dict[str, tuple[str, Shape]]:
    """(member name, shape) by the name in a form; EC2's names begin with a capital letter."""
    found = {}
    for name, member in shape.members.items():
        given = member.serialization
        if is_ec2:
            wire_name = given.get("queryName") or given.get("name", name)
            wire_name = wire_name[0].upper() + wire_name[1:]
        else:
            wire_name = given.get("locationNameForQueryCompatibility") or given.get("name", name)
            if isinstance(member, ListShape) and given.get("flattened"):
                wire_name = member.member.serialization.get("name", wire_name)
        found[wire_name] = (name, member)
    return found


def _typed(shape: Shape, text: str) -> Any:
    """Number or boolean of a text, if it is one and the model asks for it."""
    try:
        if shape.type_name in INTEGERS:
            return int(text)
        if shape.type_name in FLOATS:
            return float(text)
    except ValueError:
        return text
    return TRUTH.get(text.lower(), text) if shape.type_name == "boolean" else text


# -- REST ---------------------------------------------------------------------------------------------
def _rest(call: ApiCall, request: Request, shape: StructureShape) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        value = _bound_value(name, member, call, request)
        if value is not None:
            found[name] = value
    payload = shape.serialization.get("payload")
    if payload is None:
        body = _body(call, shape, request)
        return {**(body if isinstance(body, dict) else {}), **found}
    member = shape.members[payload]
    if member.type_name in ("blob", "string"):
        if request.body:
            found[payload] = request.body
    elif request.body:
        found[payload] = _body(call, member, request)
    return found


def _bound_value(name: str, member: Shape, call: ApiCall, request: Request) -> Any:
    """Value of a member that is bound to the path, a header or the query string."""
    location = member.serialization.get("location")
    wire_name = member.serialization.get("name", name)
    if location == "uri":
        return call.labels.get(wire_name)
    if location == "header":
        return _header(member, request.headers.get(wire_name))
    if location == "headers":
        prefix = wire_name.lower()
        given = {k[len(prefix) :]: v for k, v in request.headers.items() if k.lower().startswith(prefix)}
        return given or None
    if location != "querystring" or isinstance(member, MapShape):
        return None
    if isinstance(member, ListShape):
        return request.query.getlist(wire_name) or None
    text = request.query.get(wire_name)
    return None if text is None else _typed(member, text)


def _header(member: Shape, text: str | None) -> Any:
    if text is None:
        return None
    if isinstance(member, ListShape):
        return [item.strip() for item in text.split(",")]
    return _typed(member, text)


def _body(call: ApiCall, shape: Shape, request: Request) -> Any:
    if not request.body:
        return {}
    if call.protocol == "rest-json":
        return _from_json(shape, request.json)
    has_body = isinstance(shape, StructureShape) and _members_by_wire_name(shape)
    if not has_body:
        return {}
    try:
        return _from_xml(shape, ElementTree.fromstring(request.body))  # noqa: S314 - requests of this machine
    except ElementTree.ParseError:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ServiceError("MalformedXML", message) from None


def _from_xml(shape: Shape, node: ElementTree.Element) -> Any:
    if isinstance(shape, StructureShape):
        members = _members_by_wire_name(shape)
        found: dict[str, Any] = {
            members[name][0]: value for name, value in _attributes(node) if name in members
        }
        for child in node:
            tag = _local_name(child.tag)
            if tag not in members:
                found[tag] = child.text or ""
                continue
            name, member = members[tag]
            if isinstance(member, ListShape) and member.serialization.get("flattened"):
                found.setdefault(name, []).append(_from_xml(member.member, child))
            else:
                found[name] = _from_xml(member, child)
        return found
    if isinstance(shape, ListShape):
        return [_from_xml(shape.member, child) for child in node]
    return _typed(shape, node.text or "")


def _attributes(node: ElementTree.Element) -> Iterable[tuple[str, str]]:
    """Attributes by their name with the prefix of the model: ``xsi:type``."""
    return [(f"xsi:{_local_name(name)}", value) for name, value in node.attrib.items()]


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]
