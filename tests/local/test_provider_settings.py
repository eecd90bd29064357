"""The provider settings that `python -m local cloud` prints are complete and have the provider's names."""

from __future__ import annotations

import inspect
import re

import pulumi_aws
import pytest
import yaml
from pulumi_aws import ProviderEndpointArgs
from rich.text import Text

from local import clients
from tests.repository import STAGES
from tests.stacks.program import recorded

URL = "http://127.0.0.1:4566"
REGION = "ap-northeast-2"
ENDPOINT_OF = {"vpc": "ec2"}  # provider modules without a separate endpoint setting


@pytest.fixture(scope="module")
def printed() -> str:
    return Text.from_markup(clients.instructions(URL, REGION)).plain


def test_printed_stage_settings_are_valid_stage_config(printed: str) -> None:
    text = printed[printed.index("config:\n") :].partition("\n\n")[0]
    assert yaml.safe_load(text) == {"config": clients.stage_settings(URL, REGION)}


def test_every_setting_is_an_argument_of_the_provider() -> None:
    known = set(inspect.signature(pulumi_aws.Provider._internal_init).parameters)
    assert set(clients.provider_settings(URL, REGION)) <= known
    assert {name.removeprefix("aws:") for name in clients.stage_settings(URL, REGION)} <= {
        re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name) for name in known
    }


def test_skipped_account_request_would_leave_arns_without_account(printed: str) -> None:
    assert "skipRequestingAccountId" not in printed
    assert "skip_requesting_account_id" not in printed


def test_s3_control_has_an_endpoint_by_host_name_and_a_proxy() -> None:
    settings = clients.provider_settings(URL, REGION)
    assert settings["endpoints"][0]["s3control"] == "http://localhost:4566"
    assert settings["http_proxy"] == URL


def test_terraform_block_has_the_same_settings(printed: str) -> None:
    block = printed[printed.index('provider "aws" {') :]
    settings = clients.provider_settings(URL, REGION)
    (endpoints,) = settings.pop("endpoints")
    assigned = {match[1]: match[2] for match in re.finditer(r"(\w+) += (\S+)", block)}
    assert assigned == {
        name: str(value).lower() if isinstance(value, bool) else f'"{value}"'
        for name, value in (settings | endpoints).items()
    }


def test_every_endpoint_setting_is_an_argument_of_the_provider() -> None:
    known = {name.rstrip("_") for name in inspect.signature(ProviderEndpointArgs.__init__).parameters}
    assert set(clients.provider_settings(URL, REGION)["endpoints"][0]) <= known


@pytest.mark.parametrize("stage", STAGES)
def test_every_resource_type_of_the_program_has_an_endpoint_setting(stage: str) -> None:
    types = [each.type for each in recorded(stage).resources if each.type.startswith("aws:")]
    modules = {each.split(":")[1].partition("/")[0] for each in types}
    assert len(modules) > 10
    assert {ENDPOINT_OF.get(module, module) for module in modules} <= set(clients.PROVIDER_SERVICES)
