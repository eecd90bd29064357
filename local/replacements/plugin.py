"""Client of a Terraform provider plug-in: the operations of protocol 5 that plan a change of a resource.

https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol. Only the messages and fields that
are used are declared here.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTOCOL = "5"
COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"  # of every Terraform plug-in
COOKIE_NAME = "TF_PLUGIN_MAGIC_COOKIE"
TIMEOUT_S = 120  # the schema of the AWS provider takes seconds
UNKNOWN = "(unknown)"  # stands for a value that only AWS knows
_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int": _FIELD.TYPE_INT64,
}
# Message to its fields: name to number and type; a type with a capital is a message, "*" means repeated.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Empty": {},
    "Value": {"msgpack": (1, "bytes"), "json": (2, "bytes")},
    "Step": {
        "attribute_name": (1, "string"),
        "element_key_string": (2, "string"),
        "element_key_int": (3, "int"),
    },
    "Path": {"steps": (1, "*Step")},
    "Diagnostic": {"severity": (1, "int"), "summary": (2, "string"), "detail": (3, "string")},
    "Attribute": {
        "name": (1, "string"),
        "type": (2, "bytes"),
        "required": (4, "bool"),
        "optional": (5, "bool"),
        "computed": (6, "bool"),
    },
    "Block": {"attributes": (2, "*Attribute"), "block_types": (3, "*NestedBlock")},
    "NestedBlock": {
        "type_name": (1, "string"),
        "block": (2, "Block"),
        "nesting": (3, "int"),
        "min_items": (4, "int"),
        "max_items": (5, "int"),
    },
    "Schema": {"version": (1, "int"), "block": (2, "Block")},
    "ResourceSchema": {"key": (1, "string"), "value": (2, "Schema")},  # entry of a map
    "SchemaAnswer": {"provider": (1, "Schema"), "resource_schemas": (2, "*ResourceSchema")},
    "Configure": {"terraform_version": (1, "string"), "config": (2, "Value")},
    "Diagnostics": {"diagnostics": (1, "*Diagnostic")},
    "Plan": {
        "type_name": (1, "string"),
        "prior_state": (2, "Value"),
        "proposed_new_state": (3, "Value"),
        "config": (4, "Value"),
    },
    "PlanAnswer": {
        "planned_state": (1, "Value"),
        "requires_replace": (2, "*Path"),
        "diagnostics": (4, "*Diagnostic"),
    },
}


class PluginError(Exception):
    """The plug-in did not start, or refused a request; the message gives the reason in one line."""


class PluginGoneError(PluginError):
    """The plug-in has ended; start it again."""


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tfplugin5.proto", package="tfplugin5", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.removeprefix("*")
            label = _FIELD.LABEL_REPEATED if kind != plain else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if plain in _TYPES:
                added.type = _TYPES[plain]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".tfplugin5.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tfplugin5.{name}"))
        for name in _MESSAGES
    }


MESSAGES = _messages()


@dataclass(frozen=True)
class Planned:
    """Answer of a plan: the planned state, and the arguments that force a replacement."""

    state: Mapping[str, Any]
    replaced_by: frozenset[str]


class Plugin:
    """A running provider plug-in."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def schema(self) -> tuple[Any, dict[str, Any]]:
        """Block of the provider's settings, and block of each resource type."""
        answer = self._call("GetSchema", MESSAGES["Empty"](), "SchemaAnswer")
        return answer.provider.block, {entry.key: entry.value.block for entry in answer.resource_schemas}

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Configure the provider with all its settings.

        Raises:
            PluginError: the provider refuses them.
        """
        request = MESSAGES["Configure"](terraform_version="1.9.0", config=_value(settings))
        _refuse(self._call("Configure", request, "Diagnostics").diagnostics)

    def plan(
        self,
        type_name: str,
        prior: Mapping[str, Any] | None,
        proposed: Mapping[str, Any],
        config: Mapping[str, Any],
    ) -> Planned:
        """Plan a change from `prior` to `proposed`, the state that follows from `config`.

        Raises:
            PluginError: the provider refuses the change.
        """
        request = MESSAGES["Plan"](
            type_name=type_name,
            prior_state=_value(prior),
            proposed_new_state=_value(proposed),
            config=_value(config),
        )
        answer = self._call("PlanResourceChange", request, "PlanAnswer")
        _refuse(answer.diagnostics)
        state = msgpack.unpackb(answer.planned_state.msgpack, ext_hook=lambda _code, _data: UNKNOWN)
        paths = {step.attribute_name for path in answer.requires_replace for step in path.steps[:1]}
        return Planned(state, frozenset(paths))

    def _call(self, method: str, request: Any, answer: str) -> Any:
        call = self._channel.unary_unary(
            f"/tfplugin5.Provider/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=MESSAGES[answer].FromString,
        )
        try:
            return call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            gone = error.code() == grpc.StatusCode.UNAVAILABLE
            raise (PluginGoneError if gone else PluginError)(
                f"{method}: {error.code().name}: {error.details()}"
            ) from error


def _value(value: Mapping[str, Any] | None) -> Any:
    return MESSAGES["Value"](msgpack=msgpack.packb(value))


def _refuse(diagnostics: Any) -> None:
    errors = [f"{each.summary}: {each.detail}" for each in diagnostics if each.severity == 1]
    if errors:
        raise PluginError(" ".join(errors[0].split()))


@contextlib.contextmanager
def running(program: Path) -> Iterator[Plugin]:
    """Start a plug-in and stop it at the end.

    Raises:
        PluginError: the program does not start as a plug-in of this protocol.
    """
    env = {"PATH": os.environ["PATH"], COOKIE_NAME: COOKIE, "PLUGIN_PROTOCOL_VERSIONS": PROTOCOL}
    with subprocess.Popen(
        [program], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            # core version | protocol | network | address | grpc | certificate
            parts = process.stdout.readline().strip().split("|") if process.stdout else []
            if len(parts) < 5 or parts[1] != PROTOCOL or parts[2] != "unix":
                raise PluginError(f"{program}: not a plug-in of protocol {PROTOCOL}: {'|'.join(parts)!r}")
            options = [("grpc.max_receive_message_length", -1)]
            with grpc.insecure_channel(f"unix:{parts[3]}", options=options) as channel:
                yield Plugin(channel)
        finally:
            process.terminate()
