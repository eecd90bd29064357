"""A stage in an account that clients of a test reach, and the findings of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
from botocore.config import Config

from ci.preflight.finding import Finding, Status
from ci.preflight.stage import StageInAccount, load_stage
from tests.repository import ROOT

REGION, ACCOUNT = "ap-northeast-2", "123456789012"
OK, MISSING, UNKNOWN, LATER = Status.OK, Status.MISSING, Status.UNKNOWN, Status.LATER
FAST = Config(retries={"max_attempts": 1, "mode": "standard"}, connect_timeout=2, read_timeout=10)


def client(service: str, region: str, url: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=region, endpoint_url=url, config=FAST, **keys)


def stage_at(url: str, name: str = "dev", **environment: str) -> StageInAccount:
    """A stage file of this repository, and an account at an endpoint URL."""
    return load_stage(name, ROOT, environment, lambda service, region: client(service, region, url))


def status_of(
    check: Callable[[StageInAccount], Iterator[Finding]], stage: StageInAccount
) -> dict[str, Status]:
    return {each.subject: each.status for each in check(stage)}


def with_config(stage: StageInAccount, **sections: Any) -> StageInAccount:
    return replace(stage, config=stage.config.model_copy(update=sections))
