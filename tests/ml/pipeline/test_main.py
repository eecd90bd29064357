"""``python -m ml.pipeline``: exit codes and the lines that explain the outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml import contract
from ml.pipeline.__main__ import Dependencies, main
from ml.pipeline.environment import PipelineStage, Run
from ml.pipeline.source import ENTRY_POINTS
from tests.ml.pipeline.conftest import ENVIRONMENT, bundle
from tests.ml.pipeline.fake_pipelines import FakePipelines, rejected, step
from tests.ml.test_manifest import a_manifest

JOB = "pipelines-4o3rm9c4bf1x-NCFTraining-Nk1pLg3fQz"
JOB_ARN = f"arn:aws:sagemaker:ap-northeast-2:123456789012:training-job/{JOB}"


class FakeLogs:
    """CloudWatch Logs with the log of one training job."""

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        if request != {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{JOB}/"}:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Describe")
        return {"logStreams": [{"logStreamName": f"{JOB}/algo-1-1795402214"}]}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert request["startFromHead"] is False
        return {"events": [{"message": "epoch 1\n"}, {"message": "training: loss is nan"}]}


class FakeSession:
    """A boto3 session with a real S3 client and fakes of SageMaker and CloudWatch Logs."""

    def __init__(self, sagemaker: FakePipelines, s3: Any) -> None:
        self._clients = {"sagemaker": sagemaker, "s3": s3, "logs": FakeLogs()}

    def client(self, service: str) -> Any:
        return self._clients[service]


@pytest.fixture
def fake() -> FakePipelines:
    return FakePipelines()


@pytest.fixture
def dependencies(fake: FakePipelines, s3: Any, stage: PipelineStage, run: Run) -> Dependencies:
    """A complete run and a code version in S3, and a fake of SageMaker."""
    data = {contract.MANIFEST_FILE: a_manifest().to_json().encode(), contract.SUCCESS_FILE: b""}
    for name, body in data.items():
        s3.put_object(Bucket=stage.data_bucket, Key=f"{run.data_prefix}{name}", Body=body)
    code = s3.put_object(
        Bucket=stage.artifacts_bucket,
        Key=contract.CODE_BUNDLE_KEY,
        Body=bundle(dict.fromkeys(ENTRY_POINTS, b"")),
    )
    return Dependencies(
        environment={**ENVIRONMENT, contract.ENV_CODE_VERSION: code["VersionId"]},
        connect=lambda _region: FakeSession(fake, s3),
        compile_pipeline=lambda _stage, _session, *, upload: {"Steps": [], "Uploaded": upload},
        sleep=lambda _seconds: None,
    )


def changed(dependencies: Dependencies, **variables: str | None) -> Dependencies:
    """Dependencies with other environment variables; None removes one."""
    merged = {**dependencies.environment, **variables}
    return replace(
        dependencies, environment={name: value for name, value in merged.items() if value is not None}
    )


def test_run_that_succeeds_exits_0(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.polls = [("Succeeded", [step(contract.STEP_TRAINING, "Succeeded")])]
    assert main([], dependencies) == 0
    out = capsys.readouterr().out
    version = dependencies.environment[contract.ENV_CODE_VERSION]
    assert f"run 20261123T020000Z: 6 training rows, code version {version}" in out
    assert f"{contract.STEP_TRAINING}: Succeeded\n" in out
    definition = json.loads(fake.pipelines["ncf-dev"]["PipelineDefinition"])
    assert definition == {"Steps": [], "Uploaded": True}


def test_second_build_of_a_run_follows_the_execution_of_the_first(
    fake: FakePipelines,
    dependencies: Dependencies,
    s3: Any,
    stage: PipelineStage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.polls = [("Succeeded", [])]
    main([], dependencies)
    pipelines = dict(fake.pipelines)
    versions = s3.list_object_versions(Bucket=stage.artifacts_bucket)["Versions"]

    def unexpected(*_arguments: Any, **_options: Any) -> dict[str, Any]:
        pytest.fail("the definition of a run with an execution is not compiled")

    capsys.readouterr()
    assert main([], replace(dependencies, compile_pipeline=unexpected)) == 0
    assert "following arn:" in capsys.readouterr().out
    assert len(fake.executions) == 1
    assert fake.pipelines == pipelines
    assert s3.list_object_versions(Bucket=stage.artifacts_bucket)["Versions"] == versions


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_run_whose_execution_failed_is_started_again(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    fake.polls = [(status, [])]
    assert main([], dependencies) == 1
    fake.polls = [("Succeeded", [])]
    assert main([], dependencies) == 0
    assert len(fake.executions) == 2
    first, second = (each["PipelineExecutionArn"] for each in fake.executions)
    assert f"started {second} again, after {first} ended {status}\n" in capsys.readouterr().out


def test_run_that_is_being_stopped_is_started_again_when_it_has_stopped(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.polls = [("Failed", [])]
    main([], dependencies)
    fake.executions[0]["PipelineExecutionStatus"] = "Stopping"
    fake.polls = [("Stopping", []), ("Stopped", []), ("Succeeded", [])]
    assert main([], dependencies) == 0
    assert [each["PipelineExecutionStatus"] for each in fake.executions] == ["Stopped", "Succeeded"]
    assert "waiting until arn:" in capsys.readouterr().out


def test_failed_step_is_named_with_its_reason_and_last_log_lines(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "AlgorithmError: training: loss is nan, exit code: 1"
    fake.polls = [("Failed", [step(contract.STEP_TRAINING, "Failed", reason=reason, TrainingJob=JOB_ARN)])]
    assert main([], dependencies) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"NCFTraining failed: {reason}",
        f"the last lines of /aws/sagemaker/TrainingJobs/{JOB}:",
        "  epoch 1",
        "  training: loss is nan",
    ]


def test_unreadable_log_does_not_hide_the_failure(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    other = JOB_ARN.replace("training-job", "processing-job")
    fake.polls = [
        ("Failed", [step(contract.STEP_EVALUATION, "Failed", reason="no model", ProcessingJob=other)])
    ]
    assert main([], dependencies) == 1
    err = capsys.readouterr().err
    assert err.startswith("NCFEvaluation failed: no model\n")
    assert "(cannot be read: " in err


def test_lost_gate_is_a_normal_outcome_and_exits_0_with_its_thresholds(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.polls = [("Succeeded", [rejected("hr_at_10 0.4800, floor 0.5000: FAILED\nndcg_at_10 0.2600")])]
    assert main([], dependencies) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.endswith(
        "run 20261123T020000Z: the candidate failed the quality gate and was not registered\n"
        "  hr_at_10 0.4800, floor 0.5000: FAILED\n"
        "  ndcg_at_10 0.2600\n"
    )


def test_report_of_a_lost_gate_that_fails_exits_1(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.polls = [("Failed", [step(contract.STEP_REJECTED, "Failed", reason="no topic")])]
    assert main([], dependencies) == 1
    assert capsys.readouterr().err == "NCFRejected failed: no topic\n"


def test_stopped_execution_exits_1(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.polls = [("Stopped", [step(contract.STEP_TRAINING, "Stopped")])]
    fake.reason = "stopped by a person"
    assert main([], dependencies) == 1
    assert capsys.readouterr().err == "the execution is Stopped: stopped by a person\n"


def test_incomplete_run_exits_2_with_one_line_and_starts_nothing(
    fake: FakePipelines,
    dependencies: Dependencies,
    s3: Any,
    stage: PipelineStage,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = f"prepared/run=20261123T020000Z/{contract.SUCCESS_FILE}"
    s3.delete_object(Bucket=stage.data_bucket, Key=key)
    assert main([], dependencies) == 2
    assert capsys.readouterr().err == f"s3://{stage.data_bucket}/{key}: no such object\n"
    assert (fake.executions, fake.pipelines) == ([], {})


def test_missing_code_version_exits_2_with_one_line_and_starts_nothing(
    fake: FakePipelines, dependencies: Dependencies, stage: PipelineStage, capsys: pytest.CaptureFixture[str]
) -> None:
    version = "0af1c0de-0000-4000-8000-000000000000"
    assert main([], changed(dependencies, **{contract.ENV_CODE_VERSION: version})) == 2
    where = f"s3://{stage.artifacts_bucket}/code/source.zip at version {version}"
    assert capsys.readouterr().err == f"{where}: no such object version\n"
    assert (fake.executions, fake.pipelines) == ([], {})


@pytest.mark.parametrize("arguments", [[], ["--definition"]])
def test_missing_variable_exits_2_with_its_name(
    dependencies: Dependencies, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments, changed(dependencies, **{contract.ENV_KMS_KEY_ARN: None})) == 2
    assert capsys.readouterr().err == f"{contract.ENV_KMS_KEY_ARN}: not set\n"


def test_error_of_aws_exits_1_with_one_line(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.refusal = ("AccessDenied", "no")
    assert main([], dependencies) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "AccessDenied" in line
    assert "CreatePipeline" in line


def test_definition_is_printed_without_a_run(
    fake: FakePipelines, dependencies: Dependencies, capsys: pytest.CaptureFixture[str]
) -> None:
    without_run = changed(dependencies, **{contract.ENV_RUN_ID: None, contract.ENV_CODE_VERSION: None})
    assert main(["--definition"], without_run) == 0
    assert json.loads(capsys.readouterr().out) == {"Steps": [], "Uploaded": False}
    assert fake.pipelines == {}
