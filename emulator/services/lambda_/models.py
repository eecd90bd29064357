"""Patches of moto's Lambda: settings that moto drops, and invocation without Docker."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.awslambda.models import EventInvokeConfig, LambdaBackend, LambdaFunction

from emulator.moto_patches import MotoPatches
from emulator.services.lambda_.package import public_layer
from emulator.services.lambda_.sandbox import Outcome

DROPPED_BY_MOTO = ("DeadLetterConfig", "LoggingConfig")  # accepted and dropped by moto
SET_ON_CREATION_ONLY = {
    "TracingConfig": "tracing_config",
    "KMSKeyArn": "kms_key_arn",
}  # set by moto on creation only


@dataclass(frozen=True)
class PublicLayerVersion:
    """Layer version of another account; moto stores the layers of the emulator's account only."""

    arn: str
    code_size: int = 0


def patch(patches: MotoPatches, invoke: Callable[[Any, str], Outcome]) -> None:
    """Make moto store complete configurations, accept public layers and run functions with ``invoke``."""
    patches.replace(LambdaFunction, "__init__", _make_init)
    patches.replace(LambdaFunction, "get_configuration", _make_get_configuration)
    patches.replace(LambdaFunction, "update_configuration", _make_update_configuration)
    patches.replace(LambdaFunction, "invoke", lambda _: _make_invoke(invoke))
    patches.replace(LambdaBackend, "layers_versions_by_arn", _make_layers_versions_by_arn)
    patches.replace(LambdaBackend, "put_function_event_invoke_config", lambda _: _put_event_invoke_config)
    patches.replace(
        LambdaBackend, "update_function_event_invoke_config", lambda _: _update_event_invoke_config
    )


def fingerprint(function: Any) -> str:
    """Text that identifies code and configuration; a sandbox with another fingerprint is out of date."""
    parts = [
        function.code_sha_256,
        function.handler,
        function.run_time,
        function.memory_size,
        function.timeout,
        function.role,
        function.environment_vars,
        [layer["Arn"] for layer in function.layers],
        function.extra,
    ]
    return json.dumps(parts, default=str, sort_keys=True)


def _make_init(original: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: Any, account_id: str, spec: dict[str, Any], region: str, version: Any = 1) -> None:  # noqa: N807
        self.extra = {name: spec[name] for name in DROPPED_BY_MOTO if spec.get(name)}
        original(self, account_id, spec, region, version)

    return __init__


def _make_get_configuration(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        whole = {**original(self, on_create), **self.extra}
        return {name: value for name, value in whole.items() if value is not None}

    return get_configuration


def _make_update_configuration(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def update_configuration(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
        self.extra |= {name: config_updates[name] for name in DROPPED_BY_MOTO if name in config_updates}
        for name, attribute in SET_ON_CREATION_ONLY.items():
            if name in config_updates:
                setattr(self, attribute, config_updates[name])
        if "EphemeralStorage" in config_updates:
            self.ephemeral_storage = config_updates["EphemeralStorage"]["Size"]
        return original(self, config_updates)

    return update_configuration


def _make_invoke(invoke: Callable[[Any, str], Outcome]) -> Callable[..., bytes]:
    def moto_invoke(self: Any, body: str, request_headers: Any, response_headers: Any) -> bytes:
        del request_headers
        outcome = invoke(self, body)
        if outcome.error:
            response_headers["x-amz-function-error"] = outcome.error
        return outcome.payload.encode()

    return moto_invoke


def _make_layers_versions_by_arn(original: Callable[..., Any]) -> Callable[..., Any]:
    def layers_versions_by_arn(self: Any, layer_version_arn: str) -> Any:
        if layer_version_arn.split(":")[4] == self.account_id:
            return original(self, layer_version_arn)
        public_layer(layer_version_arn)  # raises for unknown layers
        return PublicLayerVersion(layer_version_arn)

    return layers_versions_by_arn


def _put_event_invoke_config(self: Any, function_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Replace the configuration; moto would append it and return the first one."""
    function = self.get_function(function_name)
    function.event_invoke_config = [EventInvokeConfig(function.function_arn, function.last_modified, config)]
    return function.event_invoke_config[0].response()


def _update_event_invoke_config(self: Any, function_name: str, config: dict[str, Any]) -> dict[str, Any]:
    """Change the given members of the configuration; an error of Lambda if there is none."""
    self.get_function_event_invoke_config(function_name)
    known = self.get_function(function_name).event_invoke_config[0].config
    return _put_event_invoke_config(self, function_name, {**known, **config})
