"""Results of training jobs: status, metrics, failure reasons, stops and refused requests."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from emulator.services.sagemaker.jobs.training import LOG_GROUP
from tests.emulator.services.sagemaker.conftest import Event
from tests.emulator.services.sagemaker.support import (
    BUCKET,
    WAIT_S,
    channel,
    log_lines,
    run_training,
    training_ended,
    training_job,
    unpacked,
)
from tests.polling import eventually


def test_status_transitions_are_recorded_and_published(
    sagemaker: Any, name: str, events: list[Event]
) -> None:
    job = run_training(sagemaker, training_job(name, "pass"))
    transitions = job["SecondaryStatusTransitions"]
    assert [item["Status"] for item in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(item["EndTime"] >= item["StartTime"] for item in transitions)
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]

    def statuses() -> list[str]:
        return [
            detail["TrainingJobStatus"]
            for kind, detail, arns in events
            if (kind, arns) == ("SageMaker Training Job State Change", [job["TrainingJobArn"]])
        ]

    eventually(lambda: len(statuses()) == 2, WAIT_S, "both events are published")
    assert statuses() == ["InProgress", "Completed"]


def test_final_metrics_are_the_last_values_matched_by_the_regexes(sagemaker: Any, name: str) -> None:
    definitions = [
        {"Name": "HR@10", "Regex": r"HR@10=([0-9.]+)"},
        {"Name": "Loss", "Regex": r"Loss=([0-9.eE+-]+)"},
        {"Name": "absent", "Regex": "absent=(.*)"},
    ]
    script = "print('HR@10=0.5; Loss=1e-1;'); print('HR@10=0.7012; Loss=2.5e-2;'); print('Loss=-.')"
    request = training_job(name, script, AlgorithmSpecification={"MetricDefinitions": definitions})
    job = run_training(sagemaker, request)
    found = {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]}
    assert found == pytest.approx({"HR@10": 0.7012, "Loss": 0.025})
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == definitions


def test_failure_reason_is_the_failure_file(sagemaker: Any, name: str) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('no users in the run\\n'); raise SystemExit(3)"
    job = run_training(sagemaker, training_job(name, script))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no users in the run, exit code: 3"


def test_failure_reason_without_failure_file_is_the_last_line_of_output(sagemaker: Any, name: str) -> None:
    job = run_training(sagemaker, training_job(name, "raise ValueError('x' * 2000)"))
    assert job["FailureReason"].startswith("AlgorithmError: ValueError: xxx")
    assert job["FailureReason"].endswith(", exit code: 1")
    assert len(job["FailureReason"]) == 1024


def test_exit_code_of_a_signal_is_128_plus_its_number(sagemaker: Any, name: str) -> None:
    job = run_training(sagemaker, training_job(name, "import os; os.kill(os.getpid(), 9)"))
    assert job["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_job_with_empty_channel_fails(sagemaker: Any, name: str) -> None:
    uri = f"s3://{BUCKET}/{name}/nothing"
    job = run_training(sagemaker, training_job(name, "pass", InputDataConfig=[channel("train", uri)]))
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects found")
    assert uri in job["FailureReason"]


def test_job_over_its_maximum_runtime_is_stopped_and_its_model_uploaded(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    script = "import time; open('/opt/ml/model/half', 'w').write('x'); time.sleep(60)"
    job = run_training(sagemaker, training_job(name, script, StoppingCondition={"MaxRuntimeInSeconds": 1}))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert unpacked(emulator, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"half": "x"}


def test_running_training_job_is_stopped(emulator: Emulator, sagemaker: Any, name: str) -> None:
    script = "import time; print('started', flush=True); time.sleep(60)"
    sagemaker.create_training_job(**training_job(name, script))
    eventually(lambda: log_lines(emulator, LOG_GROUP, name), WAIT_S, "the container writes a line")
    sagemaker.stop_training_job(TrainingJobName=name)
    job = training_ended(sagemaker, name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert [item["Status"] for item in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "Stopped"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"AlgorithmSpecification": {"ContainerEntrypoint": []}}, "ContainerEntrypoint"),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}},
            "InstanceCount",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}}, "channel train: input mode Pipe"),
    ],
)
def test_unsupported_training_job_is_refused_with_its_field(
    sagemaker: Any, name: str, changes: dict[str, Any], named: str
) -> None:
    request = training_job(name, "pass", InputDataConfig=[channel("train", f"s3://{BUCKET}/x")], **changes)
    if request["AlgorithmSpecification"]["ContainerEntrypoint"] == []:
        del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match=named) as refused:
        sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_duplicate_training_job_name_is_refused(sagemaker: Any, name: str) -> None:
    run_training(sagemaker, training_job(name, "pass"))
    with pytest.raises(ClientError) as refused:
        sagemaker.create_training_job(**training_job(name, "pass"))
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
