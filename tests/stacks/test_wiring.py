"""What one part of a stage hands to another is what the other takes."""

import copy
import functools
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from moto.events.models import EventPattern

from ml.contract import RUN_ID_PLACEHOLDER, parse_run_id, serving_sources
from ml.pipeline.environment import Stage
from ml.preparation.arguments import parse_arguments
from ml.settings import hyperparameters
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, stage_file

pytestmark = pytest.mark.parametrize("stage", STAGES)

EVENTS = ROOT / "tests" / "events"
SCHEDULE = "aws:scheduler/schedule:Schedule"
SCHEDULED_TIME = "2026-11-23T02:00:00Z"  # as EventBridge Scheduler writes it


def section(stage: str, name: str) -> dict[str, Any]:
    return stage_file(stage)[f"ncf:{name}"]


def run_job_flow(stage: str) -> dict[str, Any]:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
    return json.loads(published.inputs["content"])


def parameters_fault(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """What an API would say about the parameters of a call; empty if it takes them."""
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    return ParamValidator().validate(parameters, shape).generate_report()


def matching_rules(stage: str, event: dict[str, Any]) -> set[str]:
    """The rules of the stage that an event matches."""
    return {
        rule.name
        for rule in recorded(stage).of("aws:cloudwatch/eventRule:EventRule")
        if EventPattern.load(rule.inputs["eventPattern"]).matches_event(event)
    }


def recorded_event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def object_created(bucket: str, key: str) -> dict[str, Any]:
    event = recorded_event("s3_success_created")
    event["detail"]["bucket"]["name"] = f"{bucket}-1a2b3c"
    event["detail"]["object"]["key"] = key
    return event


# -- the build ------------------------------------------------------------------------------------
def test_the_build_has_the_environment_that_the_pipeline_reads(stage: str) -> None:
    done = recorded(stage)
    project = done.one("aws:codebuild/project:Project").inputs
    variables = {each["name"]: each["value"] for each in project["environment"]["environmentVariables"]}
    # CodeBuild itself says where it runs.
    region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "ap-northeast-2")
    read = Stage.from_environment({**variables, **region})
    roles = {role.name: role.outputs["arn"] for role in done.of("aws:iam/role:Role")}
    assert (read.name, read.pipeline_name, read.endpoint_name) == (stage, f"ncf-{stage}", f"ncf-{stage}")
    assert read.pipeline_role_arn == roles["pipeline-role"]
    assert read.job_role_arn == roles["job-role"]
    assert read.model_role_arn == roles["endpoint-model"]
    assert read.deploy_function_arn == done.one("aws:lambda/function:Function", "deploy-model").outputs["arn"]
    assert read.training.approval == section(stage, "training")["approval"]
    assert read.training.serving_instance_type == section(stage, "serving")["instance_type"]
    assert read.training.tags == stage_file(stage)["aws:defaultTags"]["tags"]


def test_a_buildspec_starts_a_build_with_parameters_that_codebuild_takes(stage: str) -> None:
    done = recorded(stage)
    target = done.one("aws:cloudwatch/eventTarget:EventTarget", "buildspec-rendered-target").inputs
    transformer = target["inputTransformer"]
    assert transformer["inputPaths"] == {"bucket": "$.detail.bucket.name", "key": "$.detail.object.key"}
    text = transformer["inputTemplate"].replace("<bucket>", "artifacts").replace("<key>", "buildspecs/1.yml")
    parameters = json.loads(text)
    assert parameters["buildspecOverride"] == "arn:aws:s3:::artifacts/buildspecs/1.yml"
    assert parameters["idempotencyToken"] == "buildspecs/1.yml"
    assert parameters_fault("codebuild", "StartBuild", {"projectName": "build", **parameters}) == ""
    assert target["arn"] == done.one("aws:codebuild/project:Project").outputs["arn"]


def test_the_training_takes_the_stages_hyperparameters(stage: str) -> None:
    given = section(stage, "training")["hyperparameters"]
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    taken = hyperparameters.parse(flags)
    assert {name: getattr(taken, name) for name in given if name != "preset"} == {
        name: value for name, value in given.items() if name != "preset"
    }


# -- the preparation --------------------------------------------------------------------------------
def test_emr_takes_the_published_document_as_it_is(stage: str) -> None:
    assert parameters_fault("emr", "RunJobFlow", run_job_flow(stage)) == ""


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every key of a document, however deep; the free keys of ``Properties`` aside."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(key, str):
            yield (*path, key)
        if key != "Properties":
            yield from places(value, (*path, key))


def test_misspelt_field_of_the_document_is_found_at_any_depth(stage: str) -> None:
    document = run_job_flow(stage)
    # One path for each field: the items of a list have the same shape.
    fields = {tuple(key for key in path if isinstance(key, str)): path for path in places(document)}
    paths = fields.values()
    assert len(paths) > 40
    for *way, last in paths:
        misspelt = copy.deepcopy(document)
        node = functools.reduce(lambda found, key: found[key], way, misspelt)
        node[f"{last}s_"] = node.pop(last)
        assert f"{last}s_" in parameters_fault("emr", "RunJobFlow", misspelt), (*way, last)


def test_the_preparation_takes_the_arguments_of_its_step(stage: str) -> None:
    arguments = run_job_flow(stage)["Steps"][0]["HadoopJarStep"]["Args"]
    own = arguments[arguments.index("--input") :]
    settings = parse_arguments([SCHEDULED_TIME if each == RUN_ID_PLACEHOLDER else each for each in own])
    assert settings.input == "s3://data-1a2b3c/raw/interactions/"
    assert settings.output == "s3://data-1a2b3c/prepared/"
    assert settings.run_id == "20261123T020000Z"
    job = section(stage, "spark")["job"]
    assert settings.min_interactions == job["min_interactions"]
    assert settings.max_quarantined_share == job["max_quarantined_share"]


def test_the_cluster_is_the_one_that_the_stage_asks_for(stage: str) -> None:
    asked, flow = section(stage, "spark")["cluster"], run_job_flow(stage)
    roles = {"MASTER": "primary", "CORE": "core", "TASK": "task"}
    launched = {
        roles[fleet["InstanceFleetType"]]: [each["InstanceType"] for each in fleet["InstanceTypeConfigs"]]
        for fleet in flow["Instances"]["InstanceFleets"]
    }
    assert launched == {name: asked[name]["instance_types"] for name in roles.values()}
    by_role = {roles[fleet["InstanceFleetType"]]: fleet for fleet in flow["Instances"]["InstanceFleets"]}
    assert by_role["core"]["TargetOnDemandCapacity"] == asked["core"]["units"]
    assert by_role["task"]["TargetSpotCapacity"] == asked["task"]["units"]
    spot = by_role["task"]["LaunchSpecifications"]["SpotSpecification"]
    assert spot["TimeoutDurationMinutes"] == asked["spot"]["timeout_minutes"]
    actions = {"on_demand": "SWITCH_TO_ON_DEMAND", "fail": "TERMINATE_CLUSTER"}
    assert spot["TimeoutAction"] == actions[asked["spot"]["otherwise"]]
    disks = {
        disk["VolumeSpecification"]["SizeInGB"]
        for fleet in by_role.values()
        for each in fleet["InstanceTypeConfigs"]
        for disk in each["EbsConfiguration"]["EbsBlockDeviceConfigs"]
    }
    assert disks == {asked["volume_gib"]}
    limits = flow["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits == {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": asked["scaling"]["min_units"],
        "MaximumCapacityUnits": asked["scaling"]["max_units"],
        "MaximumCoreCapacityUnits": asked["scaling"]["max_core_units"],
        "MaximumOnDemandCapacityUnits": asked["scaling"]["max_on_demand_units"],
    }
    assert flow["AutoTerminationPolicy"] == {"IdleTimeout": asked["idle_timeout_s"]}
    assert flow["ReleaseLabel"] == section(stage, "spark")["release"]
    subnets = [each.name for each in recorded(stage).of("aws:ec2/subnet:Subnet")]
    assert len(flow["Instances"]["Ec2SubnetIds"]) == len(subnets)


def test_the_schedule_launches_the_published_document_with_its_own_time_as_the_run(stage: str) -> None:
    schedules = recorded(stage).of(SCHEDULE)
    assert len(schedules) == (section(stage, "spark")["scheduler"] == "eventbridge")
    for schedule in schedules:
        text = schedule.inputs["target"]["input"]
        assert RUN_ID_PLACEHOLDER not in text
        assert text.count("<aws.scheduler.scheduled-time>") == 1
        given = json.loads(text.replace("<aws.scheduler.scheduled-time>", SCHEDULED_TIME))
        published = json.dumps(run_job_flow(stage)).replace(RUN_ID_PLACEHOLDER, SCHEDULED_TIME)
        assert given == json.loads(published)
        assert parse_run_id(SCHEDULED_TIME) == "20261123T020000Z"


def test_the_clusters_logs_go_to_the_logs_bucket(stage: str) -> None:
    assert run_job_flow(stage)["LogUri"] == "s3://logs-1a2b3c/emr/"


def test_the_nodes_read_what_is_raw_and_write_what_is_prepared(stage: str) -> None:
    policy = recorded(stage).one("aws:iam/rolePolicy:RolePolicy", "preparation-nodes-policy")
    granted = {
        (action, arn.removeprefix("arn:aws:s3:::"))
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        for action in statement["Action"]
        for arn in statement["Resource"]
    }
    changes = {(action, where) for action, where in granted if re.search(r":(Put|Delete)Object", action)}
    assert changes == {
        ("s3:PutObject", "data-1a2b3c/prepared*"),
        ("s3:DeleteObject", "data-1a2b3c/prepared*"),
        ("s3:PutObject", "logs-1a2b3c/emr/*"),
    }
    assert {where for action, where in granted if action == "s3:GetObject"} == {
        "data-1a2b3c/raw/interactions*",
        "data-1a2b3c/prepared*",
        "artifacts-1a2b3c/spark/*",
    }


def test_the_published_package_holds_the_preparation_whole(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-package")
    packed = Path(published.inputs["source"].path)
    assert packed.name == "ml.zip"
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
    own = {str(path.relative_to(ROOT)) for path in (ROOT / "ml" / "preparation").glob("*.*")}
    assert own | {"ml/__init__.py", "ml/contract.py", "ml/manifest.py"} <= names


# -- events ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bucket", "key", "rules"),
    [
        ("data", "prepared/run=20261123T020000Z/_SUCCESS", {"run-prepared"}),
        ("data", "prepared/run=20261123T020000Z/manifest.json", set()),
        ("data", "prepared/run=20261123T020000Z/train/part-00000.parquet", set()),
        ("data", "raw/interactions/_SUCCESS", set()),
        ("logs", "prepared/run=20261123T020000Z/_SUCCESS", set()),
        ("artifacts", "buildspecs/20261123T020000Z.yml", {"buildspec-rendered"}),
        ("artifacts", "code/source.zip", set()),
        ("artifacts", "models/20261123T020000Z/training/job/output/model.tar.gz", set()),
    ],
)
def test_only_the_object_that_says_so_starts_something(
    stage: str, bucket: str, key: str, rules: set[str]
) -> None:
    assert matching_rules(stage, object_created(bucket, key)) == rules


def test_the_endpoints_events_end_a_rollout_and_other_endpoints_do_not(stage: str) -> None:
    event = recorded_event("endpoint_in_service")
    event["detail"]["EndpointName"] = f"ncf-{stage}"
    assert matching_rules(stage, event) == {"endpoint-changed"}
    event["detail"]["EndpointName"] = f"ncf-{stage}-2"
    assert matching_rules(stage, event) == set()


@pytest.mark.parametrize("status", ["Approved", "Rejected", "PendingManualApproval"])
def test_a_persons_word_counts_where_the_stage_asks_a_person(stage: str, status: str) -> None:
    event = recorded_event("model_package_approved")
    event["detail"].update(ModelPackageGroupName=f"NCF-{stage}", ModelApprovalStatus=status)
    asked = section(stage, "training")["approval"] == "manual" and status != "PendingManualApproval"
    assert matching_rules(stage, event) == ({"model-reviewed"} if asked else set())


def test_metadata_on_a_package_is_nobodys_event(stage: str) -> None:
    event = recorded_event("model_package_annotated")
    event["detail"].update(ModelPackageGroupName=f"NCF-{stage}", ModelApprovalStatus="Approved")
    assert matching_rules(stage, event) == set()


FAILURES: dict[str, dict[str, Any]] = {
    "CodeBuild Build State Change": {
        "source": "aws.codebuild",
        "detail": {"project-name": "build-1a2b3c"},
        "field": "build-status",
        "told": {"FAILED", "FAULT", "STOPPED", "TIMED_OUT"},
        "silent": {"SUCCEEDED", "IN_PROGRESS"},
    },
    "SageMaker Model Building Pipeline Execution Status Change": {
        "source": "aws.sagemaker",
        "detail": {"pipelineArn": "arn:aws:sagemaker:ap-northeast-2:123456789012:pipeline/ncf-{stage}"},
        "field": "currentPipelineExecutionStatus",
        "told": {"Failed", "Stopped"},
        "silent": {"Executing", "Succeeded"},
    },
    "EMR Cluster State Change": {
        "source": "aws.emr",
        "detail": {"name": "ncf-{stage}-preparation"},
        "field": "state",
        "told": {"TERMINATED_WITH_ERRORS"},
        "silent": {"STARTING", "RUNNING", "TERMINATED"},
    },
}


@pytest.mark.parametrize("detail_type", FAILURES)
def test_failures_reach_the_topic_and_nothing_else_does(stage: str, detail_type: str) -> None:
    done, failure = recorded(stage), FAILURES[detail_type]
    targets = {
        target.name.removesuffix("-target"): target.inputs["arn"]
        for target in done.of("aws:cloudwatch/eventTarget:EventTarget")
    }

    def heard_by(status: str) -> list[str]:
        detail = {key: value.format(stage=stage) for key, value in failure["detail"].items()}
        detail[failure["field"]] = status
        event = {"source": failure["source"], "detail-type": detail_type, "detail": detail}
        return [targets[rule] for rule in matching_rules(stage, event)]

    topic = done.one("aws:sns/topic:Topic").outputs["arn"]
    assert {status for status in failure["told"] if heard_by(status) == [topic]} == failure["told"]
    assert {status for status in failure["silent"] if heard_by(status)} == set()


# -- serving ------------------------------------------------------------------------------------------
def test_the_api_has_the_routes_of_its_description(stage: str) -> None:
    described = yaml.safe_load((ROOT / "lambdas" / "recommend" / "openapi.yaml").read_text(encoding="utf-8"))
    methods = {"get", "post", "put", "patch", "delete"}
    expected = {
        f"{method.upper()} {path}"
        for path, item in described["paths"].items()
        for method in methods & set(item)
    }
    routes = {route.inputs["routeKey"] for route in recorded(stage).of("aws:apigatewayv2/route:Route")}
    assert routes == expected | {"$default"}


def test_a_function_answers_before_the_api_gives_up(stage: str) -> None:
    done = recorded(stage)
    timeout_s = done.one("aws:lambda/function:Function", "recommend").inputs["timeout"]
    waits_ms = done.one("aws:apigatewayv2/integration:Integration").inputs["timeoutMilliseconds"]
    assert timeout_s * 1000 <= waits_ms


def test_the_bootstrap_artifact_carries_the_serving_sources(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "endpoint-bootstrap")
    with tarfile.open(published.inputs["source"].path) as tar:
        packed = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: stream.read() for name, stream in packed.items() if stream}
    assert json.loads(contents.pop("model.json")) == {"schema_version": 1, "model_version": "bootstrap"}
    assert contents == {
        f"code/{name}": (ROOT / path).read_bytes() for name, path in serving_sources(ROOT).items()
    }
