"""Interfaces between a stage's resources and the code that they run: build, API, functions, container."""

import json
import tarfile
from typing import Any

import pytest
import yaml

from emulator.services.events.input import render_input
from ml.contract import serving_sources
from ml.pipeline.environment import PipelineStage
from ml.settings import hyperparameters
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, request_errors, section, stage_file

pytestmark = pytest.mark.parametrize("stage", STAGES)


def test_build_has_the_environment_that_the_pipeline_reads(stage: str) -> None:
    done = recorded(stage)
    project = done.one("aws:codebuild/project:Project").inputs
    variables = {each["name"]: each["value"] for each in project["environment"]["environmentVariables"]}
    # CodeBuild sets the variables of the region.
    region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "ap-northeast-2")
    read = PipelineStage.from_environment({**variables, **region})
    roles = {role.name: role.outputs["arn"] for role in done.of("aws:iam/role:Role")}
    assert (read.name, read.pipeline_name, read.endpoint_name) == (stage, f"ncf-{stage}", f"ncf-{stage}")
    assert read.pipeline_role_arn == roles["pipeline-role"]
    assert read.job_role_arn == roles["job-role"]
    assert read.model_role_arn == roles["endpoint-model"]
    assert read.deploy_function_arn == done.one("aws:lambda/function:Function", "deploy-model").outputs["arn"]
    assert read.training.approval == section(stage, "training")["approval"]
    assert read.training.serving_instance_type == section(stage, "serving")["instance_type"]
    assert read.training.tags == stage_file(stage)["aws:defaultTags"]["tags"]


def test_buildspec_event_becomes_a_valid_start_build_request(stage: str) -> None:
    done = recorded(stage)
    target = done.one("aws:cloudwatch/eventTarget:EventTarget", "buildspec-rendered-target").inputs
    transformer = target["inputTransformer"]
    first = _start_build(transformer, "00617F08299329D189")
    assert first["buildspecOverride"] == "arn:aws-cn:s3:::artifacts/buildspecs/1.yml"
    # A repeated event has the same token, and a buildspec that is rendered again another one.
    assert _start_build(transformer, "00617F08299329D189") == first
    again = _start_build(transformer, "00617F08299329D190")
    assert again["idempotencyToken"] != first["idempotencyToken"]
    assert request_errors("codebuild", "StartBuild", {"projectName": "build", **first}) == ""
    assert target["arn"] == done.one("aws:codebuild/project:Project").outputs["arn"]


def _start_build(transformer: dict[str, Any], sequencer: str) -> dict[str, Any]:
    """Input of the build for the event of a buildspec."""
    event = json.loads((ROOT / "tests" / "events" / "s3_success_created.json").read_text(encoding="utf-8"))
    event["resources"] = ["arn:aws-cn:s3:::artifacts"]
    event["detail"]["object"] |= {"key": "buildspecs/1.yml", "sequencer": sequencer}
    names = {"InputPathsMap": transformer["inputPaths"], "InputTemplate": transformer["inputTemplate"]}
    return json.loads(render_input({"InputTransformer": names}, event, {"arn": "rule", "name": "rule"}))


def test_training_accepts_the_stages_hyperparameters(stage: str) -> None:
    given = section(stage, "training")["hyperparameters"]
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    taken = hyperparameters.parse(flags)
    assert {name: getattr(taken, name) for name in given if name != "preset"} == {
        name: value for name, value in given.items() if name != "preset"
    }


def test_api_has_the_routes_of_its_openapi_file(stage: str) -> None:
    described = yaml.safe_load((ROOT / "lambdas" / "recommend" / "openapi.yaml").read_text(encoding="utf-8"))
    methods = {"get", "post", "put", "patch", "delete"}
    expected = {
        f"{method.upper()} {path}"
        for path, item in described["paths"].items()
        for method in methods & set(item)
    }
    routes = {route.inputs["routeKey"] for route in recorded(stage).of("aws:apigatewayv2/route:Route")}
    assert routes == expected | {"$default"}


def test_function_times_out_before_the_api(stage: str) -> None:
    done = recorded(stage)
    timeout_s = done.one("aws:lambda/function:Function", "recommend").inputs["timeout"]
    waits_ms = done.one("aws:apigatewayv2/integration:Integration").inputs["timeoutMilliseconds"]
    assert timeout_s * 1000 <= waits_ms


def test_bootstrap_artifact_contains_the_serving_sources(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "endpoint-bootstrap")
    with tarfile.open(published.inputs["source"].path) as tar:
        packed = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: stream.read() for name, stream in packed.items() if stream}
    assert json.loads(contents.pop("model.json")) == {"schema_version": 1, "model_version": "bootstrap"}
    assert contents == {
        f"code/{name}": (ROOT / path).read_bytes() for name, path in serving_sources(ROOT).items()
    }
