"""Container images equal those of the SageMaker SDK, in every region of the table."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from ml.settings.containers import REGISTRY_ACCOUNTS, image_region, image_repository_resource, image_uri

VERSIONS = {"training": ("2.10.0", "py313"), "inference": ("2.6.0", "py312")}  # the newest that the SDK knows


@pytest.fixture(scope="module")
def retrieve() -> Any:
    """`image_uris.retrieve` of the SDK, whose import needs a region."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        from sagemaker.core.image_uris import retrieve

        # Each call parses botocore's list of all endpoints, in a new loader.
        load = functools.cache(JSONFileLoader().load_file)
        monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield retrieve


@pytest.mark.filterwarnings("ignore:::sagemaker")
@pytest.mark.parametrize("instance_type", ["ml.m5.xlarge", "ml.c6i.large", "ml.g5.xlarge", "ml.p4d.24xlarge"])
@pytest.mark.parametrize("use", ["training", "inference"])
def test_image_is_the_one_of_the_sdk_in_every_region(retrieve: Any, use: Any, instance_type: str) -> None:
    framework_version, py_version = VERSIONS[use]
    for region in REGISTRY_ACCOUNTS:
        expected = retrieve(
            "pytorch",
            region=region,
            version=framework_version,
            py_version=py_version,
            instance_type=instance_type,
            image_scope=use,
        )
        assert image_uri(region, use, instance_type, framework_version, py_version) == expected


def test_region_without_images_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^'mars-north-1' has no PyTorch images of AWS: write one of af-"):
        image_uri("mars-north-1", "training", "ml.m5.xlarge", "2.6.0", "py312")


def test_repository_of_an_image_is_read_from_its_uri() -> None:
    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    for uri in (f"{registry}/shop/ncf:1.2", f"{registry}/shop/ncf@sha256:{'0' * 64}"):
        assert image_repository_resource(uri) == "eu-west-1:123456789012:repository/shop/ncf"
        assert image_region(uri) == "eu-west-1"
    assert image_region("727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/ncf:1") == "cn-north-1"


@pytest.mark.parametrize(
    "uri", ["ncf:1", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ncf", "public.ecr.aws/a/b:1"]
)
def test_image_without_registry_or_tag_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="not the URI of an ECR image with a tag or digest"):
        image_region(uri)
