"""The AWS provider tags and updates a stage of an HTTP API."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator


@pytest.fixture(scope="module")
def gateway(emulator: Emulator) -> Any:
    return emulator.client("apigatewayv2")


@pytest.fixture
def api(gateway: Any) -> str:
    """API with a $default stage that has a tag."""
    api = gateway.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True, Tags={"Stage": "dev"})
    return str(api)


def arn(api: str) -> str:
    return f"arn:aws:apigateway:ap-northeast-2::/apis/{api}/stages/$default"


def test_tags_of_a_stage_are_kept_changed_and_removed(gateway: Any, api: str) -> None:
    assert gateway.get_tags(ResourceArn=arn(api))["Tags"] == {"Stage": "dev"}
    gateway.tag_resource(ResourceArn=arn(api), Tags={"Owner": "us", "Old": "1"})
    gateway.untag_resource(ResourceArn=arn(api), TagKeys=["Stage", "Old"])
    assert gateway.get_tags(ResourceArn=arn(api))["Tags"] == {"Owner": "us"}
    assert gateway.get_stage(ApiId=api, StageName="$default")["Tags"] == {"Owner": "us"}


def test_tags_of_an_unknown_stage_are_an_error_of_the_service(gateway: Any, api: str) -> None:
    with pytest.raises(ClientError, match="NotFoundException"):
        gateway.get_tags(ResourceArn=arn(api).replace("$default", "other"))


def test_update_changes_the_settings_of_a_stage(gateway: Any, api: str) -> None:
    throttling = {"ThrottlingRateLimit": 5.0, "ThrottlingBurstLimit": 7, "DetailedMetricsEnabled": True}
    gateway.update_stage(ApiId=api, StageName="$default", DefaultRouteSettings=throttling)
    stage = gateway.get_stage(ApiId=api, StageName="$default")
    assert stage["DefaultRouteSettings"] == throttling
    assert stage["AutoDeploy"] is True
