"""The provider settings that `python -m local cloud` prints work for every resource of the program."""

from __future__ import annotations

import inspect

import pytest
import yaml
from pulumi_aws import ProviderEndpointArgs
from rich.text import Text

from local.__main__ import PROVIDER_SERVICES, client_settings
from tests.repository import STAGES
from tests.stacks.program import recorded

URL = "http://127.0.0.1:4566"
ENDPOINT_OF = {"vpc": "ec2"}  # provider modules without a separate endpoint setting


def test_printed_settings_are_valid_stage_config() -> None:
    printed = Text.from_markup(client_settings(URL, "ap-northeast-2")).plain
    settings = yaml.safe_load("\n".join(line for line in printed.splitlines() if line.startswith("  aws:")))
    assert settings.pop("aws:endpoints") == [dict.fromkeys(PROVIDER_SERVICES, URL)]
    assert set(settings.values()) == {True}


def test_every_endpoint_setting_is_an_argument_of_the_provider() -> None:
    known = {name.rstrip("_") for name in inspect.signature(ProviderEndpointArgs.__init__).parameters}
    assert set(PROVIDER_SERVICES) <= known


@pytest.mark.parametrize("stage", STAGES)
def test_every_resource_type_of_the_program_has_an_endpoint_setting(stage: str) -> None:
    types = [each.type for each in recorded(stage).resources if each.type.startswith("aws:")]
    modules = {each.split(":")[1].partition("/")[0] for each in types}
    assert len(modules) > 10
    assert {ENDPOINT_OF.get(module, module) for module in modules} <= set(PROVIDER_SERVICES)
