"""A rollback is notified once, with its reason, and no other end of a rollout is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.lambdas.deploy_model.calls import (
    ENVIRONMENT,
    Invoke,
    changed_approval,
    deploy,
    endpoint_changed,
    promotion,
)
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_CONFIG, FakeSageMaker
from tests.lambdas.deploy_model.fake_sns import FakeSns
from tests.lambdas.fake_s3 import FakeS3
from tests.lambdas.functions import load

KILLED_AFTER = timedelta(minutes=3)


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


def test_two_events_at_once_notify_once(fake: FakeSageMaker, sns: FakeSns, invoke: Invoke) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    fake.roll_back()
    answers = []
    sns.meanwhile = lambda: answers.append(invoke(endpoint_changed()))
    answers.append(invoke(endpoint_changed()))
    assert len(sns.published) == 1
    assert [each["status"] for each in answers] == ["NothingApproved"] * 2  # neither deploys it again
    assert len(fake.updates) == 1
    assert fake.metadata(arn)["deployment"] == "RolledBack"


def test_package_that_is_approved_and_rolled_back_again_is_notified_again(
    fake: FakeSageMaker, sns: FakeSns, invoke: Invoke
) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    fake.roll_back()
    invoke(endpoint_changed())
    assert invoke(changed_approval(arn))["status"] == "Deploying"
    fake.roll_back()
    invoke(endpoint_changed())
    assert len(sns.published) == 2


def test_invocation_that_was_killed_does_not_prevent_the_notification(
    fake: FakeSageMaker, s3: FakeS3, sns: FakeSns, invoke: Invoke
) -> None:
    def kill() -> None:
        raise SystemExit

    arn = fake.register()
    invoke(promotion(arn))
    fake.roll_back()
    sns.meanwhile = kill
    with pytest.raises(SystemExit):
        invoke(endpoint_changed())
    invoke(endpoint_changed())  # the killed one could still be running
    assert sns.published == []
    (place,) = (place for place in s3.modified if place[1].startswith(ENVIRONMENT["ROLLBACKS_PREFIX"]))
    s3.modified[place] -= KILLED_AFTER
    invoke(endpoint_changed())
    assert len(sns.published) == 1
    assert fake.metadata(arn)["deployment"] == "RolledBack"


@pytest.fixture
def bucket() -> Iterator[Any]:
    """S3 of moto, with the versioned bucket of the stage."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=ENVIRONMENT["FALLBACK_BUCKET"])
        client.put_bucket_versioning(
            Bucket=ENVIRONMENT["FALLBACK_BUCKET"], VersioningConfiguration={"Status": "Enabled"}
        )
        yield client


def test_conditional_writes_of_a_versioned_bucket_let_one_of_many_notify(
    bucket: Any, sns: FakeSns, logic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollbacks = load("deploy_model", "notification", monkeypatch).Rollbacks(
        sns,
        bucket,
        topic_arn=ENVIRONMENT["TOPIC_ARN"],
        stage="prod",
        bucket=ENVIRONMENT["FALLBACK_BUCKET"],
        prefix=ENVIRONMENT["ROLLBACKS_PREFIX"],
    )
    package = logic.Package("arn", 7, "Approved", {"endpoint_seen": "2026-11-23T03:00:00+00:00"})
    endpoint = logic.EndpointState("ncf-prod", "InService", "config", None, "later")
    sns.is_down = True
    with pytest.raises(ClientError):
        rollbacks.notify(package, endpoint)
    sns.is_down = False
    # The failed one left a delete marker, which counts as no object (S3 user guide, conditional writes).
    assert [rollbacks.notify(package, endpoint) for _ in range(3)] == [True, False, False]
    assert len(sns.published) == 1
