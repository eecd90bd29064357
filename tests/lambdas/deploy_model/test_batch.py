"""Batch recommendations: the processing job that `deploy_model` starts after a rollout."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lambdas.deploy_model.calls import (
    BATCH_TEMPLATE,
    ENDPOINT,
    Invoke,
    batch_failed,
    deploy,
    endpoint_changed,
    promotion,
)
from tests.lambdas.deploy_model.fake_sagemaker import FakeSageMaker
from tests.stacks.program import request_errors


def names(fake: FakeSageMaker) -> list[str]:
    return [job["ProcessingJobName"] for job in fake.processing_jobs]


def test_job_starts_when_the_rollout_has_deployed_the_package(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    arn = fake.register()
    invoke_with_batch(promotion(arn))
    assert fake.processing_jobs == []
    fake.finish()
    invoke_with_batch(endpoint_changed())

    (job,) = fake.processing_jobs
    assert request_errors("sagemaker", "CreateProcessingJob", job) == ""
    assert job["ProcessingJobName"].startswith(f"{ENDPOINT}-batch-v1-")
    assert fake.metadata(arn)["batch_job"] == job["ProcessingJobName"]
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in job["ProcessingInputs"]}
    package = fake.packages[arn]
    (container,) = package["InferenceSpecification"]["Containers"]
    assert inputs == {"code": fake.metadata(arn)["source_uri"], "model": container["ModelDataUrl"]}
    arguments = job["AppSpecification"]["ContainerArguments"]
    assert arguments[:2] == BATCH_TEMPLATE["AppSpecification"]["ContainerArguments"]
    assert arguments[2:] == ["--model-package", arn, "--rollout", fake.metadata(arn)["endpoint_seen"]]


def test_repeated_events_start_no_second_job(fake: FakeSageMaker, invoke_with_batch: Invoke) -> None:
    arn = deploy(fake, invoke_with_batch)
    invoke_with_batch(endpoint_changed())
    invoke_with_batch(promotion(arn))
    assert len(names(fake)) == 1


def test_job_that_was_started_without_being_recorded_is_not_started_again(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    arn = deploy(fake, invoke_with_batch)
    del fake.metadata(arn)["batch_job"]  # the function ended between both calls
    invoke_with_batch(endpoint_changed())
    assert fake.metadata(arn)["batch_job"] == names(fake)[0]
    assert len(names(fake)) == 1


def test_rolled_back_package_has_no_job(fake: FakeSageMaker, invoke_with_batch: Invoke) -> None:
    invoke_with_batch(promotion(fake.register()))
    fake.roll_back()
    invoke_with_batch(endpoint_changed())
    assert fake.processing_jobs == []


def test_package_that_is_deployed_again_gets_another_job(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    first = deploy(fake, invoke_with_batch)
    second = deploy(fake, invoke_with_batch)
    fake.packages[second]["ModelApprovalStatus"] = "Rejected"
    invoke_with_batch(promotion(first))
    fake.finish()
    invoke_with_batch(endpoint_changed())
    versions = [name.split("-batch-")[1].split("-")[0] for name in names(fake)]
    assert versions == ["v1", "v2", "v1"]
    assert len(set(names(fake))) == 3


def test_package_without_the_uri_of_its_code_has_no_job(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    arn = fake.register()
    del fake.metadata(arn)["source_uri"]
    invoke_with_batch(promotion(arn))
    fake.finish()
    assert invoke_with_batch(endpoint_changed())["status"] == "AlreadyDeployed"
    assert fake.processing_jobs == []


def test_failed_job_is_started_again_twice(fake: FakeSageMaker, invoke_with_batch: Invoke) -> None:
    arn = deploy(fake, invoke_with_batch)
    statuses = [invoke_with_batch(batch_failed(names(fake)[-1]))["status"] for _ in range(3)]
    assert statuses == ["BatchStarted", "BatchStarted", "Ignored"]
    assert [name[-2:] for name in names(fake)] == ["-1", "-2", "-3"]
    assert fake.metadata(arn)["batch_job"] == names(fake)[-1]


def test_repeated_event_of_a_failed_job_starts_one_attempt(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    deploy(fake, invoke_with_batch)
    failed = batch_failed(names(fake)[0])
    assert [invoke_with_batch(failed)["status"] for _ in range(2)] == ["BatchStarted", "Ignored"]
    assert len(names(fake)) == 2


def test_later_event_keeps_the_newest_attempt(fake: FakeSageMaker, invoke_with_batch: Invoke) -> None:
    arn = deploy(fake, invoke_with_batch)
    invoke_with_batch(batch_failed(names(fake)[0]))
    invoke_with_batch(endpoint_changed())
    assert fake.metadata(arn)["batch_job"] == names(fake)[1]


def test_failed_job_of_an_earlier_rollout_is_not_started_again(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    deploy(fake, invoke_with_batch)
    deploy(fake, invoke_with_batch)
    assert invoke_with_batch(batch_failed(names(fake)[0]))["status"] == "Ignored"
    assert len(names(fake)) == 2


def test_operator_starts_further_attempts(fake: FakeSageMaker, invoke_with_batch: Invoke) -> None:
    deploy(fake, invoke_with_batch)
    for _ in range(2):
        invoke_with_batch(batch_failed(names(fake)[-1]))
    assert invoke_with_batch({"batch_job": names(fake)[-1]})["status"] == "BatchStarted"
    assert names(fake)[-1].endswith("-4")


@pytest.mark.parametrize("name", ["ncf-dev-batch-v1-0123abcd-1", "ncf-prod-batch-v1", 7])
def test_other_job_names_are_refused(fake: FakeSageMaker, invoke_with_batch: Invoke, name: Any) -> None:
    with pytest.raises(ValueError, match="batch_job is"):
        invoke_with_batch({"batch_job": name})


def test_failed_start_is_repeated_with_the_retry_of_the_event(
    fake: FakeSageMaker, invoke_with_batch: Invoke
) -> None:
    arn = fake.register()
    invoke_with_batch(promotion(arn))
    fake.finish()
    fake.job_error = "ResourceLimitExceeded"
    with pytest.raises(Exception, match="ResourceLimitExceeded"):
        invoke_with_batch(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"
    fake.job_error = None
    invoke_with_batch(endpoint_changed())
    assert len(names(fake)) == 1


def test_stage_without_batch_recommendations_starts_none(fake: FakeSageMaker, invoke: Invoke) -> None:
    deploy(fake, invoke)
    assert fake.processing_jobs == []
