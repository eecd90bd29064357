"""Requests, archives and log queries that the SageMaker tests share."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator.app import Emulator
from tests.polling import eventually

BUCKET = "tests"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
WAIT_S = 30.0
Put = Callable[[str, str | bytes], str]
"""Writes an object (key, body) to `BUCKET` and returns its URI."""

# Inference script that answers with the artifact's file "answer", or fails on request.
SCRIPT = """
import json, os
from sagemaker_inference.errors import BaseInferenceToolkitError
def model_fn(model_dir):
    print("loading", flush=True)
    return open(os.path.join(model_dir, "answer")).read()
def input_fn(body, content_type):
    if content_type != "application/json":
        raise BaseInferenceToolkitError(415, "only application/json", "unsupported")
    return json.loads(body)
def predict_fn(data, model):
    if data == "crash":
        os._exit(9)
    if "raise" in data:
        raise ValueError("broken")
    if "refuse" in data:
        raise BaseInferenceToolkitError(400, "instances: missing", "bad request")
    return {"answer": model, "env": os.environ.get("SUBMIT")}
def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


def archive(files: dict[str, str]) -> bytes:
    """A ``.tar.gz`` of text files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def unpacked(emulator: Emulator, uri: str) -> dict[str, str]:
    """Text files in a ``.tar.gz`` object of `BUCKET`."""
    key = uri.removeprefix(f"s3://{BUCKET}/")
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar if member.isfile()}


def log_lines(emulator: Emulator, group: str, stream_prefix: str) -> list[str]:
    """All messages of the log streams with a name prefix; none when the log group does not exist."""
    logs = emulator.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return []
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream_prefix)["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    ]


def python_entrypoint(script: str) -> list[str]:
    """ContainerEntrypoint of a script; SageMaker allows 256 characters and no newline per argument."""
    run = "import sys; n = sys.argv.index('--end'); c = sys.argv[1:n]; del sys.argv[1:n + 1]; "
    run += "exec('\\n'.join(c))"
    return ["python3", "-c", run, *script.strip().splitlines(), "--end"]


def training_job(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """CreateTrainingJob request that runs a Python script."""
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": python_entrypoint(script),
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    algorithm = {**request["AlgorithmSpecification"], **changes.pop("AlgorithmSpecification", {})}
    return {**request, **changes, "AlgorithmSpecification": algorithm}


def training_ended(sagemaker: Any, name: str) -> dict[str, Any]:
    """Wait for the end of a training job and return its description."""

    def look() -> dict[str, Any] | None:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return eventually(look, WAIT_S, f"training job {name} ends")


def run_training(sagemaker: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Create a training job, wait for its end and return its description."""
    sagemaker.create_training_job(**request)
    return training_ended(sagemaker, request["TrainingJobName"])


def channel(name: str, uri: str) -> dict[str, Any]:
    """Training channel of an S3 prefix."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def in_service(sagemaker: Any, name: str) -> dict[str, Any]:
    """Wait until an endpoint is InService or Failed and return its description."""

    def look() -> dict[str, Any] | None:
        found = sagemaker.describe_endpoint(EndpointName=name)
        return found if found["EndpointStatus"] in ("InService", "Failed") else None

    return eventually(look, WAIT_S, f"endpoint {name} is in service")


def invoke(emulator: Emulator, name: str, body: Any = None, content_type: str = "application/json") -> Any:
    """Invoke an endpoint and return its JSON response."""
    runtime = emulator.client("sagemaker-runtime")
    response = runtime.invoke_endpoint(
        EndpointName=name, Body=json.dumps(body or {}), ContentType=content_type
    )
    return json.loads(response["Body"].read())


def source_folder(package: str) -> Path:
    """Folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
