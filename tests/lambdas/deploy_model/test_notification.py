"""A rollback is notified once, with its reason, and no other end of a rollout is."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.lambdas.deploy_model.calls import ENVIRONMENT, Invoke, deploy, endpoint_changed, promotion
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_CONFIG, FakeSageMaker
from tests.lambdas.deploy_model.fake_sns import FakeSns


def test_rollback_is_notified_once_with_run_package_and_reason(
    fake: FakeSageMaker, sns: FakeSns, invoke: Invoke
) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    assert sns.published == []
    fake.roll_back("The primary container did not pass the ping health check.")
    invoke(endpoint_changed())
    invoke(endpoint_changed())  # delivered twice
    (message,) = sns.published
    assert message["TopicArn"] == ENVIRONMENT["TOPIC_ARN"]
    assert message["Subject"] == "NCF prod: rollout of run 20261123T020000Z rolled back"
    assert arn in message["Message"]
    assert f"serves {BOOTSTRAP_CONFIG} as before" in message["Message"]
    assert message["Message"].endswith("Reason: The primary container did not pass the ping health check.")


def test_rollback_without_a_stated_reason_names_the_log(
    fake: FakeSageMaker, sns: FakeSns, invoke: Invoke
) -> None:
    invoke(promotion(fake.register()))
    fake.roll_back()
    invoke(endpoint_changed())
    assert sns.published[0]["Message"].endswith("SageMaker states none; see the log of the endpoint.")


def test_deployed_package_is_not_notified(fake: FakeSageMaker, sns: FakeSns, invoke: Invoke) -> None:
    deploy(fake, invoke)
    assert sns.published == []


def test_rollback_is_recorded_after_its_notification(
    fake: FakeSageMaker, sns: FakeSns, invoke: Invoke
) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    fake.roll_back()
    sns.is_down = True
    with pytest.raises(ClientError):
        invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Requested"
    sns.is_down = False
    invoke(endpoint_changed())  # the retry of the event
    assert len(sns.published) == 1
    assert fake.metadata(arn)["deployment"] == "RolledBack"
