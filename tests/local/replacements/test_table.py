"""Table of the inputs that force a replacement: complete, and equal to what the provider plans."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.replacements.inputs import input_paths
from local.replacements.table import Effect, document, effect
from tests.local.snapshots import snapshot
from tests.repository import STAGES

PLUGINS = os.environ.get("TERRAFORM_PLUGIN_DIR", "")
TYPES = document()["types"]


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Paths of the leaves of an input, without list positions."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from paths(item, path)
    else:
        yield path


@pytest.mark.parametrize("stage", STAGES)
def test_every_input_of_the_stages_is_known(stage: str) -> None:
    used = {(each.type, path) for each in snapshot(stage).custom().values() for path in paths(each.inputs)}
    assert used
    assert sorted(pair for pair in used if effect(*pair) is Effect.UNKNOWN) == []


@pytest.mark.parametrize("stage", STAGES)
def test_every_type_of_the_stages_has_every_input_of_the_sdk(stage: str) -> None:
    for type_ in {each.type for each in snapshot(stage).custom().values()}:
        listed = [path for found in TYPES[type_].values() for path in found]
        assert sorted(listed) == sorted({".".join(path) for path in input_paths(type_)}), type_


def test_the_table_names_its_source_and_version() -> None:
    assert document()["source"] == "plans of terraform-provider-aws 5.100.0 (plug-in protocol 5)"
    assert document()["inputs_of"].startswith("pulumi-aws 7.")


@pytest.mark.parametrize(
    ("type_", "path", "expected"),
    [
        ("aws:s3/bucket:Bucket", "bucket", Effect.REPLACES),
        ("aws:s3/bucketVersioning:BucketVersioning", "bucket", Effect.REPLACES),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "bucket",
            Effect.REPLACES,
        ),
        ("aws:ec2/subnet:Subnet", "cidrBlock", Effect.REPLACES),
        ("aws:ec2/securityGroup:SecurityGroup", "description", Effect.REPLACES),
        (
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
            "productionVariants.instanceType",
            Effect.REPLACES,
        ),
        ("aws:lambda/function:Function", "memorySize", Effect.UPDATES),
        ("aws:lambda/function:Function", "environment.variables.TABLE", Effect.UPDATES),
        ("aws:kms/keyPolicy:KeyPolicy", "keyId", Effect.UPDATES),
        ("aws:kms/key:Key", "region", Effect.REPLACES),
        ("aws:lambda/function:Function", "sourceKmsKeyArn", Effect.UNKNOWN),  # provider 6 only
        ("aws:no/such:Type", "name", Effect.UNKNOWN),
    ],
)
def test_effect_of_an_input(type_: str, path: str, expected: Effect) -> None:
    assert effect(type_, path) is expected


@pytest.mark.terraform
@pytest.mark.skipif(not PLUGINS, reason="TERRAFORM_PLUGIN_DIR is not set")
def test_the_provider_still_plans_what_the_table_says() -> None:
    from local.replacements.measure import Provider, measure

    (program,) = Path(PLUGINS).glob("**/terraform-provider-aws_v5.100.0*")
    with Provider(program) as provider:
        for type_ in ("aws:kms/keyPolicy:KeyPolicy", "aws:s3/bucketVersioning:BucketVersioning"):
            assert measure(provider, type_) == TYPES[type_]
