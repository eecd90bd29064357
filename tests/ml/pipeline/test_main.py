"""``python -m ml.pipeline``: an exit code by outcome, and what a person needs to know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ml import contract
from ml.manifest import ManifestError
from ml.pipeline import __main__ as command
from ml.pipeline.source import SourceError
from tests.ml.pipeline.conftest import ENVIRONMENT
from tests.ml.pipeline.fake_pipelines import FakePipelines, step

JOB = "pipelines-4o3rm9c4bf1x-NCFTraining-Nk1pLg3fQz"
JOB_ARN = f"arn:aws:sagemaker:ap-northeast-2:123456789012:training-job/{JOB}"
REPORT = {
    "model": {"hr_at_10": 0.48, "ndcg_at_10": 0.26},
    "change": {"hr_at_10": 0.004, "ndcg_at_10": -0.03},
}


class FakeLogs:
    """CloudWatch's log of one training job."""

    def describe_log_streams(self, **request: Any) -> dict[str, Any]:
        if request != {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{JOB}/"}:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Describe")
        return {"logStreams": [{"logStreamName": f"{JOB}/algo-1-1795402214"}]}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert request["startFromHead"] is False
        return {"events": [{"message": "epoch 1\n"}, {"message": "training: loss is nan"}]}


class FakeS3:
    """The artifacts bucket with the report of the evaluation."""

    def get_object(self, **request: Any) -> dict[str, Any]:
        assert request["Key"] == "models/20261123T020000Z/evaluation/evaluation.json"

        class Body:
            def read(self) -> bytes:
                return json.dumps(REPORT).encode()

        return {"Body": Body()}


class FakeManifest:
    run_id = "20261123T020000Z"

    class counts:  # noqa: N801 (an attribute of the manifest)
        train = 60


class FakeSession:
    def __init__(self, sagemaker: FakePipelines) -> None:
        self._clients = {"sagemaker": sagemaker, "s3": FakeS3(), "logs": FakeLogs()}

    def client(self, service: str) -> Any:
        return self._clients[service]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePipelines:
    """The command's surroundings: its environment, a whole run, a code version, and SageMaker."""
    pipelines = FakePipelines()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ml.pipeline.execution.time.sleep", lambda _seconds: None)
    monkeypatch.setattr(command, "_quieten_sdk", lambda: None)
    monkeypatch.setattr(command, "aws_session", lambda _region: FakeSession(pipelines))
    monkeypatch.setattr(command, "read_manifest", lambda *_arguments: FakeManifest)
    monkeypatch.setattr(command, "publish_source", lambda *_arguments: 3)
    monkeypatch.setattr(command, "_compile", lambda *_arguments, **_options: {"Steps": []})
    return pipelines


def test_a_run_that_succeeds_exits_0(fake: FakePipelines, capsys: pytest.CaptureFixture[str]) -> None:
    fake.looks = [("Succeeded", [step(contract.STEP_TRAINING, "Succeeded")])]
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert "run 20261123T020000Z: 60 training rows, code version IYV3p45BT0ac8hjHg1houSdS1a.Mro8e" in out
    assert f"{contract.STEP_TRAINING}: Succeeded\n" in out


def test_a_second_build_of_a_run_follows_the_first_one_s_execution(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.looks = [("Succeeded", [])]
    command.main([])

    def unexpected(*_arguments: Any, **_options: Any) -> None:
        pytest.fail("a run that has an execution changes nothing")

    monkeypatch.setattr(command, "publish_source", unexpected)
    monkeypatch.setattr(command, "_compile", unexpected)
    capsys.readouterr()
    assert command.main([]) == 0
    assert "following arn:" in capsys.readouterr().out
    assert len(fake.executions) == 1


def test_a_step_that_fails_is_named_with_its_reason_and_last_log_lines(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "AlgorithmError: training: loss is nan, exit code: 1"
    fake.looks = [("Failed", [step(contract.STEP_TRAINING, "Failed", reason=reason, TrainingJob=JOB_ARN)])]
    assert command.main([]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"NCFTraining failed: {reason}",
        f"the last lines of /aws/sagemaker/TrainingJobs/{JOB}:",
        "  epoch 1",
        "  training: loss is nan",
    ]


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    other = JOB_ARN.replace("training-job", "processing-job")
    fake.looks = [
        ("Failed", [step(contract.STEP_EVALUATION, "Failed", reason="no model", ProcessingJob=other)])
    ]
    assert command.main([]) == 1
    err = capsys.readouterr().err
    assert err.startswith("NCFEvaluation failed: no model\n")
    assert "(cannot be read: " in err


def test_a_candidate_that_loses_the_gate_exits_3_and_says_by_what(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.looks = [("Failed", [step(contract.STEP_REJECTED, "Failed", reason="lost")])]
    assert command.main([]) == 3
    err = capsys.readouterr().err
    assert "  hr_at_10 0.4800, floor 0.5000: LOST\n" in err
    assert "  hr_at_10 change +0.0040, tolerance 0.0100: passed\n" in err
    assert "  ndcg_at_10 0.2600, floor 0.2500: passed\n" in err
    assert "  ndcg_at_10 change -0.0300, tolerance 0.0200: LOST\n" in err


def test_an_execution_that_a_person_stopped_exits_1(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.looks = [("Stopped", [step(contract.STEP_TRAINING, "Stopped")])]
    fake.reason = "stopped by a person"
    assert command.main([]) == 1
    assert capsys.readouterr().err == "the execution is Stopped: stopped by a person\n"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("read_manifest", ManifestError("s3://b/manifest.json: not there")),
        ("publish_source", SourceError("s3://b/code/source.zip at version v: not there")),
    ],
)
def test_bad_input_exits_2_with_one_line_and_starts_nothing(
    fake: FakePipelines,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    problem: Exception,
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise problem

    monkeypatch.setattr(command, target, refuse)
    assert command.main([]) == 2
    assert capsys.readouterr().err == f"{problem}\n"
    assert fake.executions == []
    assert fake.pipelines == {}


@pytest.mark.parametrize("arguments", [[], ["--definition"]])
def test_a_missing_variable_exits_2_by_its_name(
    fake: FakePipelines,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.delenv(contract.ENV_KMS_KEY_ARN)
    assert command.main(arguments) == 2
    assert capsys.readouterr().err == f"{contract.ENV_KMS_KEY_ARN}: not set\n"


def test_a_refusal_of_aws_exits_1_with_one_line(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_request: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CreatePipeline")

    monkeypatch.setattr(fake, "create_pipeline", refuse)
    assert command.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "AccessDenied" in line
    assert "CreatePipeline" in line


def test_the_definition_can_be_read_without_a_run(
    fake: FakePipelines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(contract.ENV_RUN_ID)
    monkeypatch.delenv(contract.ENV_CODE_VERSION)
    assert command.main(["--definition"]) == 0
    assert json.loads(capsys.readouterr().out) == {"Steps": []}
    assert fake.pipelines == {}
