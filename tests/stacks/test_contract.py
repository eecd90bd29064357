"""Rules for every resource of every stage: tree, tags, names and stack outputs."""

import ast
import json

import pytest
import yaml

from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded, run_program, section, stage_file

pytestmark = pytest.mark.parametrize("stage", STAGES)

BUCKET, QUEUE = "aws:s3/bucket:Bucket", "aws:sqs/queue:Queue"
FUNCTION, LOG_GROUP = "aws:lambda/function:Function", "aws:cloudwatch/logGroup:LogGroup"


def test_every_resource_belongs_to_a_component(stage: str) -> None:
    done = recorded(stage)
    components = {each.urn for each in done.resources if not each.custom}
    assert [each.urn for each in done.resources if each.custom and each.parent not in components] == []


def test_top_level_has_slices_and_the_alarm_topic_only(stage: str) -> None:
    top = {each.type for each in recorded(stage).resources if "pulumi:Stack::" in each.parent}
    slices = ("Operations", "Preparation", "Serving", "Storage", "Training")
    assert top == {*(f"ncf:slice:{name}" for name in slices), "ncf:operations:AlarmTopic"}


def test_default_tags_name_owner_service_and_stage(stage: str) -> None:
    tags = stage_file(stage)["aws:defaultTags"]["tags"]
    assert set(tags) == {"Owner", "Service", "Stage"}
    assert tags["Stage"] == stage


def test_no_resource_overrides_a_default_tag(stage: str) -> None:
    defaults = set(stage_file(stage)["aws:defaultTags"]["tags"])
    assert [
        each.urn for each in recorded(stage).resources if defaults & set(each.inputs.get("tags", {}))
    ] == []


def test_clusters_have_the_default_tags(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
    flow = json.loads(published.inputs["content"])
    tags = {tag["Key"]: tag["Value"] for tag in flow["Tags"]}
    assert tags.items() >= stage_file(stage)["aws:defaultTags"]["tags"].items()


def test_fixed_names_are_those_that_are_looked_up(stage: str) -> None:
    fields = ("name", "bucket", "dashboardName", "modelPackageGroupName")
    fixed = {
        f"{each.type.rpartition(':')[2]} {each.inputs[field]}"
        for each in recorded(stage).resources
        for field in fields
        if each.inputs.get(field) and (field != "bucket" or each.type == BUCKET)
    }
    assert fixed == {
        f"Alias alias/ncf-{stage}",
        f"Endpoint ncf-{stage}",
        f"LogGroup /aws/sagemaker/Endpoints/ncf-{stage}",
        f"ModelPackageGroup NCF-{stage}",
        f"Dashboard ncf-{stage}",
        "Stage $default",
    }


def generated_name(stage: str, name: str) -> str:
    """Name that Pulumi generates from the pattern in the project file."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    pattern = project["config"]["pulumi:autonaming"]["value"]["pattern"]
    known = {"${project}": project["name"], "${stack}": stage, "${name}": name, "${hex(6)}": "0" * 6}
    for placeholder, value in known.items():
        assert placeholder in pattern
        pattern = pattern.replace(placeholder, value)
    assert "$" not in pattern
    return pattern


def test_generated_names_fit_the_services_limits(stage: str) -> None:
    longest = {
        "aws:iam/role:Role": 64,  # IAM quotas
        FUNCTION: 64,  # Lambda API, CreateFunction
        QUEUE: 80,  # SQS quotas
        "aws:cloudwatch/eventRule:EventRule": 64,  # EventBridge API, PutRule
        "aws:scheduler/schedule:Schedule": 64,  # EventBridge Scheduler API, CreateSchedule
        BUCKET: 63,  # S3 user guide, bucket naming rules
        "aws:sagemaker/model:Model": 63,  # SageMaker API, CreateModel
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration": 63,
    }
    for each in recorded(stage).resources:
        name = generated_name(stage, each.name)
        assert len(name) <= longest.get(each.type, 128), name


def test_optional_resources_follow_the_stages_fields(stage: str) -> None:
    done = recorded(stage)
    scheduled = section(stage, "spark")["scheduler"] == "eventbridge"
    schedules = {each.name for each in done.of("aws:scheduler/schedule:Schedule")}
    assert ("preparation-schedule" in schedules) is scheduled
    assert ("check-runs-schedule" in schedules) is (section(stage, "operations")["deadlines"] is not None)


def test_no_code_contains_the_name_of_a_stage(stage: str) -> None:
    sources = [path for folder in ("stacks", "components") for path in (ROOT / folder).rglob("*.py")]
    found = [
        path.name
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == stage
    ]
    assert found == []


def test_stack_outputs_name_the_stages_resources(stage: str) -> None:
    exports = recorded(stage).exports
    assert exports["endpoint_name"] == exports["pipeline_name"] == f"ncf-{stage}"
    assert exports["model_package_group"] == f"NCF-{stage}"
    assert exports["api_url"].startswith("https://")
    assert exports["run_job_flow_uri"] == f"s3://{exports['artifacts_bucket']}/spark/run_job_flow.json"
    assert not [name for name, value in exports.items() if not value]


def test_every_function_is_deployed_and_named_in_stack_outputs(stage: str) -> None:
    done = recorded(stage)
    functions = {each.name.replace("-", "_"): each for each in done.of(FUNCTION)}
    assert set(functions) == set(FUNCTIONS)
    for name, function in functions.items():
        assert done.exports[f"{name}_function"] == function.outputs["name"]
        assert done.exports[f"{name}_log_group"] == function.inputs["loggingConfig"]["logGroup"]


def test_stack_outputs_have_every_log_group_and_every_queue(stage: str) -> None:
    done = recorded(stage)
    groups = {value for name, value in done.exports.items() if name.endswith("_log_group")}
    assert groups == {group.outputs["name"] for group in done.of(LOG_GROUP)}
    urls = {value for name, value in done.exports.items() if name.endswith("_dead_letter_queue_url")}
    assert urls == {queue.outputs["url"] for queue in done.of(QUEUE)}


def test_stage_without_deadlines_has_no_check_of_its_runs(stage: str) -> None:
    config = stage_file(stage)
    config["ncf:operations"]["deadlines"] = None
    names = {each.name for each in run_program(stage, config).resources if each.custom}
    found = {each.name for each in recorded(stage).resources if each.custom} - names
    assert {"check-runs", "check-runs-schedule", "preparation-overdue", "training-overdue"} <= found
    assert all(name.startswith(("check-runs", "preparation-overdue", "training-overdue")) for name in found)
