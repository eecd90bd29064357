"""Reading a stage in an AWS account."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import requests

from local.console.aws_source import SignedByUser, aws_source
from local.console.models import decide
from local.errors import BadInputError

OUTPUTS = {
    "kms_key_arn": "arn:aws:kms:ap-northeast-2:123456789012:key/0",
    "model_package_group": "NCF-prod",
}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(OUTPUTS))
    return path


def test_region_is_that_of_the_stage(outputs: Path) -> None:
    source = aws_source("prod", outputs)
    assert (source.stage, source.region, source.is_read_only) == ("prod", "ap-northeast-2", True)


def test_packages_of_an_account_are_not_approved(outputs: Path) -> None:
    arn = "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package/NCF-prod/1"
    with pytest.raises(BadInputError, match="read-only"):
        decide(aws_source("prod", outputs), arn, "approve")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kms_key_arn": "[secret]"}'])
def test_files_that_are_no_outputs_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "outputs.json"
    path.write_text(content)
    with pytest.raises(BadInputError, match=r"outputs\.json.*pulumi stack output"):
        aws_source("prod", path)


def test_missing_pulumi_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInputError, match="--outputs FILE"):
        aws_source("prod", None)


def test_api_requests_are_signed_for_api_gateway() -> None:
    session = boto3.Session("AKIA", "secret", "token", region_name="ap-northeast-2")
    request = requests.Request("POST", "https://api.example/recommendations", json={"user_ids": ["7"]})
    signed = SignedByUser(session, "ap-northeast-2")(request.prepare())
    assert "/ap-northeast-2/execute-api/aws4_request" in signed.headers["Authorization"]
    assert signed.headers["X-Amz-Security-Token"] == "token"


def test_console_of_an_account_keeps_the_aws_settings_of_the_user() -> None:
    """`emulator` removes them from the process."""
    program = (
        "import sys, local.__main__, local.console.state, local.console.server, local.console.aws_source; "
    )
    program += "sys.exit(any(name.split('.')[0] == 'emulator' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
