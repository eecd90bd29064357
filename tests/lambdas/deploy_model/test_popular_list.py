"""The popular list of the deployed package is copied to the key that the API reads."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from ml import contract
from tests.lambdas.deploy_model.calls import ENVIRONMENT, Invoke, deploy, endpoint_changed, promotion
from tests.lambdas.deploy_model.fake_sagemaker import FakeSageMaker
from tests.lambdas.fake_s3 import FakeS3

SOURCE = ("artifacts", f"models/20261123T020000Z/evaluation/{contract.POPULAR_LIST_FILE}")
TARGET = (ENVIRONMENT["FALLBACK_BUCKET"], contract.FALLBACK_KEY)


def test_list_is_published_when_the_rollout_has_deployed_the_package(
    fake: FakeSageMaker, s3: FakeS3, invoke: Invoke
) -> None:
    s3.objects[SOURCE] = b"the list"
    invoke(promotion(fake.register()))
    assert TARGET not in s3.objects
    fake.finish()
    invoke(endpoint_changed())
    assert s3.objects[TARGET] == b"the list"


def test_list_of_a_rolled_back_package_is_not_published(
    fake: FakeSageMaker, s3: FakeS3, invoke: Invoke
) -> None:
    s3.objects[SOURCE] = b"the list"
    invoke(promotion(fake.register()))
    fake.roll_back()
    invoke(endpoint_changed())
    assert TARGET not in s3.objects


def test_package_without_a_list_leaves_the_previous_one(
    fake: FakeSageMaker, s3: FakeS3, invoke: Invoke
) -> None:
    s3.objects[TARGET] = b"the previous list"
    arn = deploy(fake, invoke)
    assert fake.metadata(arn)["deployment"] == "Deployed"
    assert s3.objects[TARGET] == b"the previous list"


def test_failed_publication_is_repeated_with_the_retry_of_the_event(
    fake: FakeSageMaker, s3: FakeS3, invoke: Invoke
) -> None:
    s3.objects[SOURCE] = b"the list"
    arn = fake.register()
    invoke(promotion(arn))
    fake.finish()
    s3.failure = EndpointConnectionError(endpoint_url="https://s3.ap-northeast-2.amazonaws.com")
    with pytest.raises(EndpointConnectionError):
        invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Requested"
    s3.failure = None
    invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"
    assert s3.objects[TARGET] == b"the list"
