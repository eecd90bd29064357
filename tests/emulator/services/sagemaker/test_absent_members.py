"""Members that a request leaves out are absent in descriptions, so that typed clients can read them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import MakeConfig


def test_absent_configurations_are_not_answered_as_empty(
    sagemaker: Any, served_endpoint: str, make_config: MakeConfig
) -> None:
    config = make_config("absent")
    assert "VpcConfig" not in sagemaker.describe_model(ModelName=config)
    assert "DataCaptureConfig" not in sagemaker.describe_endpoint_config(EndpointConfigName=config)
    assert "DataCaptureConfig" not in sagemaker.describe_endpoint(EndpointName=served_endpoint)


def test_sdk_reads_endpoints_models_and_configurations(emulator: Emulator, served_endpoint: str) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model

    session = boto3.session.Session("emulator", "emulator", region_name=emulator.region)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", emulator.url)
        patch.setattr(boto3, "DEFAULT_SESSION", session)
        assert Endpoint.get(served_endpoint, session=session).endpoint_status == "InService"
        config = f"{served_endpoint}-one"
        assert Model.get(config, session=session).model_name == config
        assert EndpointConfig.get(config, session=session).endpoint_config_name == config
        assert config in [model.model_name for model in Model.get_all(session=session)]
