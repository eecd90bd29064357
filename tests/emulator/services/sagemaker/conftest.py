"""One emulator with SageMaker (and Lambda, for pipelines) for this package's tests."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emulator.app import PROVIDERS, Emulator, Wiring
from emulator.provider import EmitEvent
from emulator.services.sagemaker.provider import SageMakerProvider
from tests.polling import eventually

BUCKET = "tests"
Put = Callable[[str, str | bytes], str]  # key, body -> URI
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
WAIT_S = 30.0
# What an endpoint serves: its artifact's "answer", unless it is asked to fail.
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


class SageMakerUnderTest:
    """Makes the SageMaker provider, and records the events that it emits.

    Attributes:
        provider: set when the emulator starts.
        events: (detail type, detail, resources) of every event.
    """

    provider: SageMakerProvider

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any], list[str]]] = []

    def make_provider(self, wiring: Wiring) -> SageMakerProvider:
        self.provider = SageMakerProvider(wiring.host, wiring.forward, self._recorded(wiring.emit))
        return self.provider

    def _recorded(self, emit: EmitEvent) -> EmitEvent:
        def record(
            source: str,
            detail_type: str,
            detail: Mapping[str, Any],
            resources: Iterable[str],
            region: str,
        ) -> None:
            assert source == "aws.sagemaker"
            self.events.append((detail_type, json.loads(json.dumps(detail)), list(resources)))
            emit(source, detail_type, detail, resources, region)

        return record


@pytest.fixture(scope="package")
def under_test() -> SageMakerUnderTest:
    """The SageMaker provider of the package's emulator."""
    return SageMakerUnderTest()


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory, under_test: SageMakerUnderTest) -> Iterator[Emulator]:
    """A running emulator with a bucket."""
    root = tmp_path_factory.mktemp("emulator")
    providers = {
        "events": PROVIDERS["events"],
        "lambda": PROVIDERS["lambda"],
        "sagemaker": under_test.make_provider,
    }
    with Emulator(root=root, providers=providers).start() as running:
        location = {"LocationConstraint": running.region}
        running.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        yield running


@pytest.fixture(scope="package")
def sagemaker(emulator: Emulator) -> Any:
    """A SageMaker client."""
    return emulator.client("sagemaker")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, as SageMaker allows names."""
    return re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")[-48:].strip("-")


@pytest.fixture
def events(emulator: Emulator, under_test: SageMakerUnderTest) -> list[tuple[str, dict[str, Any], list[str]]]:
    """(detail type, detail, resources) of every event from now on, as it reaches the bus."""
    under_test.events.clear()
    return under_test.events


@pytest.fixture
def put(emulator: Emulator) -> Put:
    """Puts an object; gives its URI."""

    def put_object(key: str, body: str | bytes) -> str:
        emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    return put_object


@pytest.fixture
def make_config(sagemaker: Any, put: Put, name: str) -> Callable[..., str]:
    """Makes a model and an endpoint configuration that serves it; gives the configuration's name."""

    def make(version: str, script: str = SCRIPT, files: dict[str, str] | None = None) -> str:
        content = {"answer": version, "code/inference.py": script, **(files or {})}
        uri = put(f"{name}/{version}/model.tar.gz", archive(content))
        config = f"{name}-{version}"
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SUBMIT": "/opt/ml/model/code"}
        container = {"Image": "image", "ModelDataUrl": uri, "Environment": environment}
        sagemaker.create_model(ModelName=config, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        production = {
            "VariantName": "AllTraffic",
            "ModelName": config,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[production])
        return config

    return make


@pytest.fixture
def endpoint(sagemaker: Any, name: str, make_config: Callable[..., str]) -> Iterator[str]:
    """An endpoint in service that answers "one"."""
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    yield name
    in_service(sagemaker, name)
    sagemaker.delete_endpoint(EndpointName=name)


def archive(files: dict[str, str]) -> bytes:
    """A tar.gz of text files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def unpacked(emulator: Emulator, uri: str) -> dict[str, str]:
    """The text files in a tar.gz object."""
    key = uri.removeprefix(f"s3://{BUCKET}/")
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar if member.isfile()}


def log_lines(emulator: Emulator, group: str, prefix: str) -> list[str]:
    """Every line of the streams that begin with a prefix."""
    logs = emulator.client("logs")
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
    ]


def training_job(name: str, script: str, **changes: Any) -> dict[str, Any]:
    """A request for a training job that runs a Python script."""
    request = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-c", script],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    algorithm = {**request["AlgorithmSpecification"], **changes.pop("AlgorithmSpecification", {})}
    return {**request, **changes, "AlgorithmSpecification": algorithm}


def source_folder(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    import importlib.util

    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def in_service(sagemaker: Any, name: str) -> dict[str, Any]:
    """The endpoint, once nothing is going on."""

    def settled() -> dict[str, Any] | None:
        found = sagemaker.describe_endpoint(EndpointName=name)
        return found if found["EndpointStatus"] in ("InService", "Failed") else None

    return eventually(settled)


def invoke(emulator: Emulator, name: str, body: Any = None, content_type: str = "application/json") -> Any:
    """The endpoint's answer."""
    runtime = emulator.client("sagemaker-runtime")
    response = runtime.invoke_endpoint(
        EndpointName=name, Body=json.dumps(body or {}), ContentType=content_type
    )
    return json.loads(response["Body"].read())
