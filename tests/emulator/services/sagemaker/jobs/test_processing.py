"""Processing jobs: inputs, outputs, exit messages, stops and refused requests."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import Event
from tests.emulator.services.sagemaker.support import (
    BUCKET,
    ROLE,
    WAIT_S,
    Put,
    log_lines,
    python_entrypoint,
)
from tests.polling import eventually


def processing_job(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """CreateProcessingJob request that runs a Python script."""
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": python_entrypoint(script)},
        "ProcessingResources": {"ClusterConfig": cluster},
        "RoleArn": ROLE,
        **changes,
    }


def processing_ended(sagemaker: Any, name: str) -> dict[str, Any]:
    """Wait for the end of a processing job and return its description."""

    def look() -> dict[str, Any] | None:
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        return job if job["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return eventually(look, WAIT_S, f"processing job {name} ends")


def run_processing(sagemaker: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Create a processing job, wait for its end and return its description."""
    sagemaker.create_processing_job(**request)
    return processing_ended(sagemaker, request["ProcessingJobName"])


def s3_input(name: str, uri: str) -> dict[str, Any]:
    """Input with local path /opt/ml/processing/input/NAME."""
    source = {
        "S3Uri": uri,
        "LocalPath": f"/opt/ml/processing/input/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {"InputName": name, "S3Input": source}


def s3_output(name: str, uri: str) -> dict[str, Any]:
    """Output with local path /opt/ml/processing/NAME."""
    target = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": target}


def test_output_folders_are_uploaded(
    emulator: Emulator, sagemaker: Any, put: Put, name: str, events: list[Event]
) -> None:
    put(f"{name}/in/one.txt", "1")
    uri = f"s3://{BUCKET}/{name}/out"
    script = """
import os, sys
text = open("/opt/ml/processing/input/numbers/one.txt").read()
os.makedirs("/opt/ml/processing/report/deep")
open(sys.argv[1] + "/deep/sum.txt", "w").write(text + os.environ["PLUS"])
open("/opt/ml/output/message", "w").write("1 file")
print("counted")
"""
    request = processing_job(
        name,
        script,
        ProcessingInputs=[s3_input("numbers", f"s3://{BUCKET}/{name}/in/")],
        ProcessingOutputConfig={"Outputs": [s3_output("report", uri)]},
        Environment={"PLUS": "2"},
    )
    request["AppSpecification"]["ContainerArguments"] = ["/opt/ml/processing/report"]
    job = run_processing(sagemaker, request)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ExitMessage"] == "1 file"
    assert job["Environment"] == {"PLUS": "2"}
    assert job["ProcessingEndTime"] >= job["ProcessingStartTime"]
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key=f"{name}/out/deep/sum.txt")["Body"].read()
    assert body == b"12"
    assert log_lines(emulator, "/aws/sagemaker/ProcessingJobs", f"{name}/algo-1-") == ["counted"]

    def statuses() -> list[str]:
        return [
            detail["ProcessingJobStatus"] for _, detail, arns in events if arns == [job["ProcessingJobArn"]]
        ]

    eventually(lambda: len(statuses()) == 2, WAIT_S, "both events are published")
    assert statuses() == ["InProgress", "Completed"]


def test_failure_reason_is_the_exit_message_and_nothing_is_uploaded(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    uri = f"s3://{BUCKET}/{name}/out"
    script = """
open("/opt/ml/output/message", "w").write("the manifest has no test split")
open("/opt/ml/processing/report/half", "w").write("x")
raise SystemExit(2)
"""
    outputs = {"Outputs": [s3_output("report", uri)]}
    job = run_processing(sagemaker, processing_job(name, script, ProcessingOutputConfig=outputs))
    assert job["FailureReason"] == "AlgorithmError: the manifest has no test split, exit code: 2"
    assert emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/out")["KeyCount"] == 0


def test_failure_reason_names_a_missing_program(sagemaker: Any, name: str) -> None:
    request = processing_job(name, "pass")
    request["AppSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    job = run_processing(sagemaker, request)
    assert job["FailureReason"].startswith(
        "ClientError: Unable to run the container entrypoint no-such-program"
    )


def test_job_with_local_path_outside_opt_ml_fails(sagemaker: Any, put: Put, name: str) -> None:
    put(f"{name}/x", "x")
    outside = s3_input("data", f"s3://{BUCKET}/{name}/")
    outside["S3Input"]["LocalPath"] = "/opt/ml/../../etc"
    job = run_processing(sagemaker, processing_job(name, "pass", ProcessingInputs=[outside]))
    assert "must be below /opt/ml" in job["FailureReason"]


def test_running_processing_job_is_stopped(sagemaker: Any, name: str) -> None:
    sagemaker.create_processing_job(**processing_job(name, "import time; time.sleep(60)"))
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert processing_ended(sagemaker, name)["ProcessingJobStatus"] == "Stopped"


def test_compressed_input_is_refused_with_its_name(sagemaker: Any, name: str) -> None:
    compressed = s3_input("data", f"s3://{BUCKET}/x")
    compressed["S3Input"]["S3CompressionType"] = "Gzip"
    with pytest.raises(ClientError, match="input data: S3CompressionType Gzip is not emulated"):
        sagemaker.create_processing_job(**processing_job(name, "pass", ProcessingInputs=[compressed]))
