"""What holds for every resource of both stages, a table a rule."""

import ast
import json
import re
from collections import Counter
from typing import Any

import pytest
import yaml

from tests.pulumi_engine import Recording
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, stage_file

pytestmark = pytest.mark.parametrize("stage", STAGES)

QUEUE, ALARM = "aws:sqs/queue:Queue", "aws:cloudwatch/metricAlarm:MetricAlarm"
TARGET, FUNCTION = "aws:cloudwatch/eventTarget:EventTarget", "aws:lambda/function:Function"
BUCKET, LOG_GROUP = "aws:s3/bucket:Bucket", "aws:cloudwatch/logGroup:LogGroup"
RULES = tuple(f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule" for way in ("Ingress", "Egress"))
KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"


def section(stage: str, name: str) -> dict[str, Any]:
    return stage_file(stage)[f"ncf:{name}"]


def by_bucket(done: Recording, kind: str) -> dict[str, dict[str, Any]]:
    return {
        each.inputs["bucket"]: each.inputs for each in done.of(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")
    }


# -- tree ----------------------------------------------------------------------------------------
def test_every_resource_has_a_urn_of_its_own(stage: str) -> None:
    urns = Counter(each.urn for each in recorded(stage).resources)
    assert [urn for urn, n in urns.items() if n > 1] == []


def test_no_resource_stands_outside_of_a_component(stage: str) -> None:
    done = recorded(stage)
    components = {each.urn for each in done.resources if not each.custom}
    assert [each.urn for each in done.resources if each.custom and each.parent not in components] == []


def test_only_slices_and_the_alarm_topic_stand_at_the_top(stage: str) -> None:
    top = {each.type for each in recorded(stage).resources if "pulumi:Stack::" in each.parent}
    slices = ("Operations", "Preparation", "Serving", "Storage", "Training")
    assert top == {*(f"ncf:slice:{name}" for name in slices), "ncf:operations:AlarmTopic"}


# -- tags ----------------------------------------------------------------------------------------
def test_tags_sit_on_the_provider_and_say_whose_and_which_stage(stage: str) -> None:
    tags = stage_file(stage)["aws:defaultTags"]["tags"]
    assert set(tags) == {"Owner", "Service", "Stage"}
    assert tags["Stage"] == stage


def test_no_resource_overrides_a_default_tag(stage: str) -> None:
    defaults = set(stage_file(stage)["aws:defaultTags"]["tags"])
    assert [
        each.urn for each in recorded(stage).resources if defaults & set(each.inputs.get("tags", {}))
    ] == []


def test_clusters_carry_the_default_tags_though_no_provider_makes_them(stage: str) -> None:
    published = recorded(stage).one("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
    flow = json.loads(published.inputs["content"])
    tags = {tag["Key"]: tag["Value"] for tag in flow["Tags"]}
    assert tags.items() >= stage_file(stage)["aws:defaultTags"]["tags"].items()


# -- encryption and access ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (LOG_GROUP, "kmsKeyId"),
        ("aws:sns/topic:Topic", "kmsMasterKeyId"),
        (FUNCTION, "kmsKeyArn"),
        ("aws:codebuild/project:Project", "encryptionKey"),
        ("aws:sagemaker/endpointConfiguration:EndpointConfiguration", "kmsKeyArn"),
        ("aws:s3/bucketObjectv2:BucketObjectv2", "kmsKeyId"),
    ],
)
def test_what_stores_anything_encrypts_it_with_the_stages_key(stage: str, kind: str, field: str) -> None:
    found = recorded(stage).of(kind)
    assert found
    assert {each.inputs.get(field) for each in found} == {KEY_ARN}


@pytest.mark.parametrize(
    "kind",
    [
        "BucketVersioning",
        "BucketServerSideEncryptionConfiguration",
        "BucketPublicAccessBlock",
        "BucketOwnershipControls",
        "BucketPolicy",
        "BucketLifecycleConfiguration",
    ],
)
def test_every_bucket_has_every_guard(stage: str, kind: str) -> None:
    done = recorded(stage)
    assert set(by_bucket(done, kind)) == {bucket.outputs["bucket"] for bucket in done.of(BUCKET)}


def test_queues_are_encrypted_by_their_service(stage: str) -> None:
    queues = recorded(stage).of(QUEUE)
    assert queues
    assert all(queue.inputs["sqsManagedSseEnabled"] for queue in queues)


def test_nothing_is_reachable_from_outside_but_the_api(stage: str) -> None:
    done = recorded(stage)
    kinds = {each.type for each in done.resources}
    assert not [
        kind for kind in kinds if "internetGateway" in kind or "natGateway" in kind or "/eip:" in kind
    ]
    routes = done.of("aws:apigatewayv2/route:Route")
    expected = {"iam": "AWS_IAM", "none": "NONE"}[section(stage, "api")["auth"]]
    assert {route.inputs["authorizationType"] for route in routes} == {expected}


def test_security_groups_are_described_in_letters_that_ec2_takes(stage: str) -> None:
    done = recorded(stage)
    kinds = ("aws:ec2/securityGroup:SecurityGroup", RULES[0], RULES[1])
    described = [each.inputs["description"] for kind in kinds for each in done.of(kind)]
    assert described
    # EC2 API, CreateSecurityGroup
    assert [
        text for text in described if not re.fullmatch(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}", text)
    ] == []


# -- retention and protection ---------------------------------------------------------------------
def test_every_log_is_kept_as_long_as_the_stage_says(stage: str) -> None:
    kept = {group.inputs["retentionInDays"] for group in recorded(stage).of(LOG_GROUP)}
    assert kept == {section(stage, "storage")["log_retention_days"]}


def test_data_expires_by_prefix_and_models_never(stage: str) -> None:
    done, keep = recorded(stage), section(stage, "storage")
    expiry = {}
    for bucket, inputs in by_bucket(done, "BucketLifecycleConfiguration").items():
        rules = [rule for rule in inputs["rules"] if "expiration" in rule]
        expiry[bucket.split("-")[0]] = {
            rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in rules
        }
    assert expiry == {
        "data": {"prepared/": keep["expire_prepared_runs_after_days"]},
        "artifacts": {},
        "logs": {"": keep["expire_logs_after_days"]},
    }


def test_what_cannot_be_made_again_is_protected_where_the_stage_says_so(stage: str) -> None:
    guarded = {each.name for each in recorded(stage).resources if each.protect}
    expected = {"data", "artifacts", "key", "packages"} if stage_file(stage)["ncf:protect_data"] else set()
    assert guarded == expected


def test_no_bucket_is_emptied_to_be_deleted(stage: str) -> None:
    assert {bucket.inputs["forceDestroy"] for bucket in recorded(stage).of(BUCKET)} == {False}


def test_fixed_names_are_those_that_others_look_up(stage: str) -> None:
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
    """The name that Pulumi generates, by the pattern of the project's file."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    pattern = project["config"]["pulumi:autonaming"]["value"]["pattern"]
    known = {"${project}": project["name"], "${stack}": stage, "${name}": name, "${hex(6)}": "0" * 6}
    for placeholder, value in known.items():
        assert placeholder in pattern
        pattern = pattern.replace(placeholder, value)
    assert "$" not in pattern
    return pattern


def test_generated_names_fit(stage: str) -> None:
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


# -- events ----------------------------------------------------------------------------------------
def test_every_target_is_tried_again_and_keeps_what_it_cannot_deliver(stage: str) -> None:
    done = recorded(stage)
    queues = {queue.outputs["arn"] for queue in done.of(QUEUE)}
    schedules = [each.inputs["target"] for each in done.of("aws:scheduler/schedule:Schedule")]
    targets = [each.inputs for each in done.of(TARGET)] + schedules
    assert len(targets) == len(done.of("aws:cloudwatch/eventRule:EventRule")) + len(schedules)
    assert [t for t in targets if t["retryPolicy"]["maximumRetryAttempts"] < 1] == []
    assert {t["deadLetterConfig"]["arn"] for t in targets} <= queues


def test_every_function_keeps_the_events_that_it_fails_to_handle(stage: str) -> None:
    done = recorded(stage)
    queues = {queue.outputs["arn"] for queue in done.of(QUEUE)}
    kind = "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig"
    kept = {each.inputs["functionName"]: each.inputs["destinationConfig"] for each in done.of(kind)}
    assert set(kept) == {function.outputs["name"] for function in done.of(FUNCTION)}
    assert {each["onFailure"]["destination"] for each in kept.values()} <= queues


def test_every_dead_letter_is_an_alarm_and_every_alarm_reaches_the_topic(stage: str) -> None:
    done = recorded(stage)
    topic = done.one("aws:sns/topic:Topic").outputs["arn"]
    alarms = [alarm.inputs for alarm in done.of(ALARM)]
    assert all(alarm["alarmActions"] == [topic] for alarm in alarms)
    watched = {alarm["dimensions"].get("QueueName") for alarm in alarms}
    assert watched >= {queue.outputs["name"] for queue in done.of(QUEUE)}


def test_a_bucket_has_one_notification_at_most(stage: str) -> None:
    notifications = recorded(stage).of("aws:s3/bucketNotification:BucketNotification")
    told = [each.inputs["bucket"].split("-")[0] for each in notifications]
    assert sorted(told) == ["artifacts", "data"]


def test_the_dashboard_shows_what_waits_on_the_road_of_a_run(stage: str) -> None:
    done = recorded(stage)
    body = json.loads(done.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    graphs = {each["properties"].get("title"): each["properties"].get("metrics") for each in body["widgets"]}
    shown = {line[3] for line in graphs["Does anything wait unhandled?"]}
    road = ("render-buildspec-failed", "run-prepared-undelivered", "buildspec-rendered-undelivered")
    rollout = ("deploy-model-failed", "endpoint-changed-undelivered")
    scheduled = section(stage, "spark")["scheduler"] == "eventbridge"
    launch = ("preparation-schedule-undelivered",) if scheduled else ()
    assert shown >= {done.one(QUEUE, name).outputs["name"] for name in launch + road + rollout}


# -- stages ----------------------------------------------------------------------------------------
def test_the_stage_has_what_its_fields_ask_for(stage: str) -> None:
    done = recorded(stage)
    scheduled = section(stage, "spark")["scheduler"] == "eventbridge"
    assert bool(done.of("aws:scheduler/schedule:Schedule")) is scheduled
    reviewed = section(stage, "training")["approval"] == "manual"
    assert (
        bool([rule for rule in done.of("ncf:events:EventRoute") if rule.name == "model-reviewed"]) is reviewed
    )


def test_no_code_knows_the_name_of_the_stage(stage: str) -> None:
    sources = [path for room in ("stacks", "components") for path in (ROOT / room).glob("*.py")]
    knowing = [
        path.name
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == stage
    ]
    assert knowing == []


def test_the_program_exports_what_others_need_to_find_the_stage(stage: str) -> None:
    exports = recorded(stage).exports
    assert exports["endpoint_name"] == exports["pipeline_name"] == f"ncf-{stage}"
    assert exports["model_package_group"] == f"NCF-{stage}"
    assert exports["api_url"].startswith("https://")
    assert exports["run_job_flow_uri"] == f"s3://{exports['artifacts_bucket']}/spark/run_job_flow.json"
    assert not [name for name, value in exports.items() if not value]
