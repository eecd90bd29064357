"""Container images equal those of the SageMaker SDK, in every region of the table."""

from __future__ import annotations

from typing import Any

import pytest

from ml.settings.containers import REGISTRY_ACCOUNTS, image_uri


@pytest.fixture(scope="module")
def retrieve() -> Any:
    """`image_uris.retrieve` of the SDK, whose import needs a region."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        from sagemaker.core.image_uris import retrieve

        yield retrieve


@pytest.mark.filterwarnings("ignore:::sagemaker")
@pytest.mark.parametrize("instance_type", ["ml.m5.xlarge", "ml.c6i.large", "ml.g5.xlarge", "ml.p4d.24xlarge"])
@pytest.mark.parametrize("use", ["training", "inference"])
def test_image_is_the_one_of_the_sdk_in_every_region(retrieve: Any, use: Any, instance_type: str) -> None:
    for region in REGISTRY_ACCOUNTS:
        expected = retrieve(
            "pytorch",
            region=region,
            version="2.6.0",
            py_version="py312",
            instance_type=instance_type,
            image_scope=use,
        )
        assert image_uri(region, use, instance_type, "2.6.0", "py312") == expected


def test_region_without_images_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^'mars-north-1' has no PyTorch images of AWS: write one of af-"):
        image_uri("mars-north-1", "training", "ml.m5.xlarge", "2.6.0", "py312")
