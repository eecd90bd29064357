"""Regions: partitions as botocore has them, and which ones the platform supports."""

from __future__ import annotations

import botocore.session
import pytest

from ml.pipeline.environment import PipelineStage
from ml.settings.containers import REGISTRY_ACCOUNTS
from ml.settings.regions import partition_of, supported_region
from tests.ml.pipeline.conftest import ENVIRONMENT


def regions() -> dict[str, str]:
    """Region to partition, for every region that botocore knows."""
    session = botocore.session.get_session()
    return {
        region: partition
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("s3", partition, allow_non_regional=False)
    }


def test_partition_of_every_region_is_that_of_botocore() -> None:
    known = regions() | dict.fromkeys(REGISTRY_ACCOUNTS, "")
    session = botocore.session.get_session()
    for region in known:
        assert partition_of(region) == session.get_partition_for_region(region), region


def test_regions_of_the_registry_table_are_supported_in_the_partition_aws_only() -> None:
    for region in REGISTRY_ACCOUNTS:
        if region.startswith(("cn-", "us-gov-")):
            with pytest.raises(ValueError, match=f"'{region}' is in the partition aws-"):
                supported_region(region)
        else:
            assert supported_region(region) == region


@pytest.mark.parametrize("region", [*REGISTRY_ACCOUNTS, "eusc-de-east-1"])
def test_pipeline_accepts_the_name_of_every_region(region: str) -> None:
    assert PipelineStage.from_environment({**ENVIRONMENT, "AWS_DEFAULT_REGION": region}).region == region
