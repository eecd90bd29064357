"""`Chain`: a run is followed from its buildspec to the deployed package, with fake AWS clients."""

from __future__ import annotations

import io
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from local.chain import Chain
from local.errors import StepFailedError
from local.timeline import Timeline
from ml import contract
from ml.pipeline.execution import display_name
from tests.ml.pipeline.fake_pipelines import BEGIN, FakePipelines, step

RUN_ID = "20261123T020000Z"
PACKAGE = "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package/NCF-dev/1"
OUTPUTS = {
    "artifacts_bucket": "artifacts",
    "codebuild_project": "build",
    "pipeline_name": "ncf-dev",
    "endpoint_name": "ncf-dev",
    "endpoint_log_group": "/aws/sagemaker/Endpoints/ncf-dev",
}


class FakePipelineRun(FakePipelines):
    """Fake SageMaker client with the pipeline execution and the model package of one run."""

    def __init__(self, deployment: str) -> None:
        super().__init__()
        self.package = {
            "ModelApprovalStatus": "PendingManualApproval",
            "CustomerMetadataProperties": {"deployment": deployment},
        }
        self.pipelines["ncf-dev"] = {}
        self.executions = [
            {
                "PipelineExecutionDisplayName": display_name(RUN_ID),
                "PipelineExecutionArn": "arn",
                "PipelineExecutionStatus": "Executing",
            }
        ]
        registered = {
            **step(contract.STEP_REGISTER, "Succeeded", 2, RegisterModel=PACKAGE),
            "StartTime": BEGIN,
        }
        self.polls = [("Succeeded", [registered])]

    def list_pipeline_execution_steps(self, **_request: Any) -> dict[str, Any]:
        return {"PipelineExecutionSteps": self.polls[0][1]}

    def describe_model_package(self, **request: Any) -> dict[str, Any]:
        assert request == {"ModelPackageName": PACKAGE}
        return self.package

    def update_model_package(self, **request: Any) -> None:
        self.package["ModelApprovalStatus"] = request["ModelApprovalStatus"]

    def describe_endpoint(self, **_request: Any) -> dict[str, Any]:
        return {"FailureReason": "an alarm was raised"}


def follow(
    sagemaker: FakePipelineRun, build_status: str = "SUCCEEDED", s3: object = None, sqs: object = None
) -> Timeline:
    build = {
        "id": "b",
        "buildStatus": build_status,
        "startTime": BEGIN,
        "source": {"buildspec": f"arn:aws:s3:::artifacts/{contract.buildspec_key(RUN_ID)}"},
    }
    earlier = {**build, "id": "a", "buildStatus": "FAILED", "startTime": BEGIN - timedelta(hours=1)}
    events = {"events": [{"message": "worker failed to boot"}]}
    clients = {
        "s3": s3 or SimpleNamespace(head_object=lambda **_: {}),
        "codebuild": SimpleNamespace(
            list_builds_for_project=lambda **_: {"ids": ["a", "b"]},
            batch_get_builds=lambda ids: {"builds": [each for each in (earlier, build) if each["id"] in ids]},
        ),
        "sagemaker": sagemaker,
        "sqs": sqs or SimpleNamespace(list_queues=dict),
        "logs": SimpleNamespace(
            exceptions=SimpleNamespace(ResourceNotFoundException=KeyError),
            describe_log_streams=lambda **_: {"logStreams": [{"logStreamName": "AllTraffic/i-1"}]},
            get_log_events=lambda **_: events,
        ),
    }
    stage: Any = SimpleNamespace(outputs=OUTPUTS, client=clients.__getitem__)
    timeline = Timeline(Console(file=io.StringIO()))
    Chain(stage, RUN_ID, timeline).follow()
    return timeline


def test_run_is_followed_and_approved_until_its_package_is_deployed() -> None:
    sagemaker = FakePipelineRun("Deployed")
    timeline = follow(sagemaker)
    assert [(row["step"], row["status"]) for row in timeline.as_json()] == [
        ("render buildspec", "succeeded"),
        ("build", "succeeded"),
        (contract.STEP_REGISTER, "succeeded"),
        ("approve", "succeeded"),
        ("rollout", "succeeded"),
    ]
    assert sagemaker.package["ModelApprovalStatus"] == "Approved"


def test_rollback_is_raised_with_its_reason_and_the_endpoint_log() -> None:
    with pytest.raises(StepFailedError) as failure:
        follow(FakePipelineRun("RolledBack"))
    assert (failure.value.step, failure.value.reason) == ("rollout", "an alarm was raised")
    assert failure.value.log_lines == ["worker failed to boot"]


def test_build_that_fails_before_the_pipeline_starts_is_raised() -> None:
    sagemaker = FakePipelineRun("Deployed")
    sagemaker.executions.clear()
    with pytest.raises(StepFailedError, match="build failed: the build ended FAILED"):
        follow(sagemaker, "FAILED")


class LateBuildspec:
    """Fake S3 client whose object exists from the fourth request on."""

    def __init__(self) -> None:
        self.n_requests = 0

    def head_object(self, **_request: Any) -> dict[str, Any]:
        self.n_requests += 1
        if self.n_requests < 4:
            missing = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(missing, "HeadObject")
        return {}


def test_dead_letters_are_not_looked_for_at_every_poll() -> None:
    looks: list[None] = []
    s3 = LateBuildspec()
    sqs = SimpleNamespace(list_queues=lambda: looks.append(None) or {})
    follow(FakePipelineRun("Deployed"), s3=s3, sqs=sqs)
    assert s3.n_requests == 4
    assert len(looks) == 1


def test_dead_letter_of_the_run_ends_it_with_the_queue() -> None:
    message = {"Body": f"run {RUN_ID}", "MessageAttributes": {}}
    sqs = SimpleNamespace(
        list_queues=lambda: {"QueueUrls": ["http://sqs/1/events-dlq"]},
        receive_message=lambda **_: {"Messages": [message]},
    )
    with pytest.raises(StepFailedError, match="dead-letter queue events-dlq: no reason given"):
        follow(FakePipelineRun("Deployed"), s3=LateBuildspec(), sqs=sqs)
