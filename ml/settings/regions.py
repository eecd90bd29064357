"""Partitions of AWS regions, and the regions that the platform supports."""

from ml.settings.containers import REGISTRY_ACCOUNTS

PARTITION = "aws"
# Prefix of a region's name -> its partition, for the partitions other than aws.
OTHER_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "eusc-": "aws-eusc",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}


def partition_of(region: str) -> str:
    """The partition of a region."""
    found = [partition for prefix, partition in OTHER_PARTITIONS.items() if region.startswith(prefix)]
    return found[0] if found else PARTITION


def supported_region(region: str) -> str:
    """The region, if the platform supports it.

    Other partitions differ in service principals, endpoint names and services: docs/how-to/add-a-stage.md
    lists the differences.

    Raises:
        ValueError: it is in another partition, or has no PyTorch images of AWS.
    """
    supported = [each for each in REGISTRY_ACCOUNTS if partition_of(each) == PARTITION]
    if region in supported:
        return region
    partition = partition_of(region)
    reason = (
        "has no PyTorch images of AWS"
        if partition == PARTITION
        else f"is in the partition {partition}, which the platform does not support"
    )
    raise ValueError(f"{region!r} {reason}: write one of {', '.join(supported)}")
