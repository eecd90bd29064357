"""Fixtures of the SageMaker tests: one emulator with SageMaker, Lambda and EventBridge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from emulator.app import PROVIDERS, Emulator, Wiring
from emulator.services.sagemaker.provider import SageMakerProvider
from emulator.wire import Request, Response, ServiceError
from tests.emulator.services.sagemaker.support import BUCKET, ROLE, SCRIPT, Put, archive, in_service
from tests.emulator.support import make_role

BAKING_S = 30.0  # maximum baking period; longer than any test waits


class Event(NamedTuple):
    """One event on the default event bus."""

    detail_type: str
    detail: dict[str, Any]
    resources: list[str]


class SageMakerUnderTest:
    """Factory of the SageMaker provider; records its events and can refuse requests.

    Attributes:
        events: all events.
        refusals: errors with which the next requests to moto are refused, by operation.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refusals: dict[str, list[ServiceError]] = {}

    def make_provider(self, wiring: Wiring) -> SageMakerProvider:
        def forward(request: Request) -> Response:
            if refusals := self.refusals.get(request.operation):
                raise refusals.pop()
            return wiring.forward(request)

        def emit(
            source: str, detail_type: str, detail: Mapping[str, Any], resources: Iterable[str], region: str
        ) -> None:
            assert source == "aws.sagemaker"
            self.events.append(Event(detail_type, json.loads(json.dumps(detail)), list(resources)))
            wiring.emit(source, detail_type, detail, resources, region)

        return SageMakerProvider(wiring.host, forward, emit, max_baking_s=BAKING_S)


@pytest.fixture(scope="package")
def under_test() -> SageMakerUnderTest:
    """SageMaker in the package's emulator."""
    return SageMakerUnderTest()


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory, under_test: SageMakerUnderTest) -> Iterator[Emulator]:
    """Running emulator with a bucket."""
    providers = {
        "events": PROVIDERS["events"],
        "lambda": PROVIDERS["lambda"],
        "sagemaker": under_test.make_provider,
    }
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        location = {"LocationConstraint": running.region}
        running.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        assert make_role(running, ROLE.rpartition("/")[2], "sagemaker.amazonaws.com", everything) == ROLE
        yield running


@pytest.fixture(scope="package")
def sagemaker(emulator: Emulator) -> Any:
    """SageMaker client."""
    return emulator.client("sagemaker")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name of the test as a SageMaker resource name."""
    return resource_name(request.node.name)


def resource_name(text: str) -> str:
    """Last characters of a text as a SageMaker resource name: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[-48:].strip("-")


@pytest.fixture
def events(emulator: Emulator, under_test: SageMakerUnderTest) -> list[Event]:
    """Events published since the start of the test."""
    under_test.events.clear()
    return under_test.events


@pytest.fixture(scope="package")
def put(emulator: Emulator) -> Put:
    """Function that writes an object and returns its URI."""

    def put_object(key: str, body: str | bytes) -> str:
        emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    return put_object


MakeConfig = Callable[..., str]
"""Creates a model and an endpoint configuration (version, script, files, n_instances); returns its name."""


def config_factory(sagemaker: Any, put: Put, prefix: str) -> MakeConfig:
    """Factory of endpoint configurations whose names begin with a prefix."""

    def make(
        version: str, script: str = SCRIPT, files: dict[str, str] | None = None, n_instances: int = 1
    ) -> str:
        content = {"answer": version, "code/inference.py": script, **(files or {})}
        uri = put(f"{prefix}/{version}/model.tar.gz", archive(content))
        config = f"{prefix}-{version}"
        environment = {"SAGEMAKER_PROGRAM": "inference.py", "SUBMIT": "/opt/ml/model/code"}
        container = {"Image": "image", "ModelDataUrl": uri, "Environment": environment}
        sagemaker.create_model(ModelName=config, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        production = {
            "VariantName": "AllTraffic",
            "ModelName": config,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": n_instances,
            "InitialVariantWeight": 1.0,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[production])
        return config

    return make


@pytest.fixture
def make_config(sagemaker: Any, put: Put, name: str) -> MakeConfig:
    """Factory of endpoint configurations of this test."""
    return config_factory(sagemaker, put, name)


@pytest.fixture
def endpoint(sagemaker: Any, name: str, make_config: MakeConfig) -> Iterator[str]:
    """Endpoint in service that answers "one", for a test that changes it."""
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=make_config("one"))
    in_service(sagemaker, name)
    yield name
    in_service(sagemaker, name)
    sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture(scope="module")
def served_endpoint(sagemaker: Any, put: Put, request: pytest.FixtureRequest) -> Iterator[str]:
    """Endpoint in service that answers "one", shared by the tests of a module that only invoke it."""
    name = resource_name(request.node.name)
    config = config_factory(sagemaker, put, name)("one")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    in_service(sagemaker, name)
    yield name
    sagemaker.delete_endpoint(EndpointName=name)
