"""Terraform configuration of a stage, so that the real AWS provider can deploy it to the emulator.

pulumi-aws is a bridge of terraform-provider-aws: the same resources, inputs in another spelling. The program
runs once with placeholders as outputs; each placeholder in an input becomes a Terraform reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from components.packing import zip_bytes
from local.deploy import naming, program, schema, values
from local.deploy.monitor import Created, Monitor, Registration
from local.deploy.project import Stage
from local.preview import ARN_FORMS, USUAL_ARN_FORM
from local.replacements.names import ARGUMENTS, argument_name, snake_case, terraform_type

ACCOUNT = "123456789012"
NAME_ARGUMENTS = ("name", "bucket", "function_name", "alarm_name", "dashboard_name")
_PLACEHOLDER = "ref{index}z{attribute}z"


class Configuration:
    """Terraform resources of a stage, in the JSON syntax.

    Args:
        provider_schema: resource types of ``terraform providers schema -json``.
        folder: where deployment packages and other assets are written.
    """

    def __init__(self, stage: Stage, provider_schema: Mapping[str, Any], folder: Path) -> None:
        self._stage = stage
        self._schema = provider_schema
        self._folder = folder
        self._addresses: dict[str, str] = {}  # URN to address
        self._references: dict[str, str] = {}  # placeholder to Terraform expression
        self._registrations: list[Registration] = []

    def resources(self) -> dict[str, dict[str, Any]]:
        """Arguments by resource type and name."""
        monitor = Monitor(project=self._stage.project, stack=self._stage.name, create=self._created)
        program.run(self._stage, monitor)
        result: dict[str, dict[str, Any]] = {}
        for registration in self._registrations:
            kind, name = self._addresses[registration.urn].split(".")
            result.setdefault(kind, {})[name] = self._arguments(registration, kind)
        return result

    def _created(self, registration: Registration) -> Created:
        index = len(self._registrations)
        self._registrations.append(registration)
        kind = terraform_type(registration.type)
        address = f"{kind}.{re.sub(r'[^A-Za-z0-9_-]', '-', registration.name)}"
        self._addresses[registration.urn] = address
        outputs = {
            name: self._placeholder(registration, index, name)
            for name, type_ in schema.outputs(registration.type).items()
            if type_ is str and name not in registration.properties
        }
        if "region" in outputs:
            outputs["region"] = self._stage.region
        return Created(id=self._placeholder(registration, index, "id"), outputs=outputs)

    def _placeholder(self, registration: Registration, index: int, output: str) -> str:
        kind, name = self._addresses[registration.urn].split(".")
        attribute = ARGUMENTS.get((kind, output)) or snake_case(output)
        plain = _PLACEHOLDER.format(index=index, attribute=attribute.replace("_", ""))
        block = self._schema[kind]["block"]
        if attribute not in block["attributes"]:
            return plain
        text = arn_of(registration.type, self._stage.region, plain) if output == "arn" else plain
        expression = f"{kind}.{name}.{attribute}"
        self._references[text] = f"${{{expression}}}"
        if text != plain:  # the name that the program takes out of an ARN
            self._references[plain] = f'${{reverse(split("/", replace({expression}, ":", "/")))[0]}}'
        return text

    # -- arguments ----------------------------------------------------------------------------------
    def _arguments(self, registration: Registration, kind: str) -> dict[str, Any]:
        inputs = values.decode(registration.properties)
        block = self._schema[kind]["block"]
        arguments = self._block(inputs, block, kind)
        self._add_name(arguments, block, registration)
        if kind == "aws_lambda_function":
            arguments["source_code_hash"] = f'${{filebase64sha256("{arguments["filename"]}")}}'
        lifecycle = [snake_case(name.split("[")[0]) for name in registration.ignore_changes]
        if lifecycle:
            arguments["lifecycle"] = {"ignore_changes": lifecycle}
        own = self._addresses[registration.urn]
        depends = {self._addresses[urn] for urn in registration.dependencies if urn in self._addresses}
        arguments["depends_on"] = sorted(depends - {own})
        return arguments

    def _block(self, inputs: Mapping[str, Any], block: Mapping[str, Any], kind: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for key, value in inputs.items():
            if key.startswith("__"):
                continue
            known = {**block.get("attributes", {}), **block.get("block_types", {})}
            name = argument_name(key, known, kind)
            nested = block.get("block_types", {}).get(name)
            arguments[name] = (
                self._nested(value, nested["block"], kind)
                if nested
                else self._attribute(name, value, block["attributes"][name])
            )
        return arguments

    def _nested(self, value: Any, block: Mapping[str, Any], kind: str) -> Any:
        items = value if isinstance(value, list) else [value]
        return [self._block(item, block, kind) for item in items]

    def _attribute(self, name: str, value: Any, attribute: Mapping[str, Any]) -> Any:
        if isinstance(value, pulumi.Asset | pulumi.Archive):
            return str(self._write_asset(value))
        kind = attribute.get("type")
        if isinstance(kind, list) and kind[0] in ("list", "set") and not isinstance(value, list):
            value = [value]
        return self._resolve(value)

    def _add_name(
        self, arguments: dict[str, Any], block: Mapping[str, Any], registration: Registration
    ) -> None:
        """Generate a name as the Pulumi engine does, where the program leaves it to the engine."""
        for name in NAME_ARGUMENTS:
            attribute = block["attributes"].get(name)
            if attribute is None or name in arguments:
                continue
            if attribute.get("required") or (attribute.get("optional") and attribute.get("computed")):
                generated = naming.expand(
                    naming.DEFAULT_PATTERN,
                    project=self._stage.project,
                    stage=self._stage.name,
                    name=registration.name,
                )
                arguments[name] = generated[-63:].strip("-.")

    def _write_asset(self, asset: pulumi.Asset | pulumi.Archive) -> Path:
        root = self._stage.root
        if isinstance(asset, pulumi.Asset):
            content, suffix = values.asset_bytes(asset, root), ".bin"
        elif isinstance(asset, pulumi.FileArchive) and (root / asset.path).is_file():
            content, suffix = (root / asset.path).read_bytes(), ".zip"
        else:
            content, suffix = zip_bytes(values.archive_entries(asset, root)), ".zip"
        path = self._folder / f"asset-{len(list(self._folder.glob('asset-*')))}{suffix}"
        path.write_bytes(content)
        return path

    def _resolve(self, value: Any) -> Any:
        """Replace placeholders by references; other dollar signs are literal."""
        if isinstance(value, dict):
            return {key: self._resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item) for item in value]
        if not isinstance(value, str):
            return value
        text = value.replace("${", "$${").replace("%{", "%%{")
        for placeholder in sorted(self._references, key=len, reverse=True):
            text = text.replace(placeholder, self._references[placeholder])
        if left := re.search(r"ref\d+z\w*z", text):
            raise LookupError(f"{left[0]}: a reference to an output that Terraform does not have: {value}")
        return text


def document(resources: Mapping[str, Any], provider: Mapping[str, Any], version: str) -> str:
    """``main.tf.json`` of the resources and the provider's settings."""
    return json.dumps(
        {
            "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": version}}},
            "provider": {"aws": provider},
            **({"resource": resources} if resources else {}),
        },
        indent=1,
    )


def arn_of(type_: str, region: str, name: str) -> str:
    """ARN of a resource with a placeholder as its name: the program parses ARNs."""
    _, module, class_name = type_.split(":")
    service = module.split("/")[0]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", class_name).lower()
    form = ARN_FORMS.get(module, ARN_FORMS.get(service, USUAL_ARN_FORM))
    return form.format(service=service, region=region, kind=kind, name=name).replace("${account}", ACCOUNT)
