"""Encryption, access, retention and protection of every resource of every stage."""

import re
from typing import Any

import pytest

from tests.pulumi_engine import Recording
from tests.repository import STAGES
from tests.stacks.program import recorded, section, stage_file

pytestmark = pytest.mark.parametrize("stage", STAGES)

QUEUE, FUNCTION = "aws:sqs/queue:Queue", "aws:lambda/function:Function"
BUCKET, LOG_GROUP = "aws:s3/bucket:Bucket", "aws:cloudwatch/logGroup:LogGroup"
RULES = tuple(
    f"aws:vpc/securityGroup{direction}Rule:SecurityGroup{direction}Rule"
    for direction in ("Ingress", "Egress")
)
KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"


def by_bucket(done: Recording, kind: str) -> dict[str, dict[str, Any]]:
    return {
        each.inputs["bucket"]: each.inputs for each in done.of(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")
    }


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
def test_stored_data_is_encrypted_with_the_stages_key(stage: str, kind: str, field: str) -> None:
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
def test_every_bucket_has_every_protective_setting(stage: str, kind: str) -> None:
    done = recorded(stage)
    assert set(by_bucket(done, kind)) == {bucket.outputs["bucket"] for bucket in done.of(BUCKET)}


def test_queues_have_sqs_managed_encryption(stage: str) -> None:
    queues = recorded(stage).of(QUEUE)
    assert queues
    assert all(queue.inputs["sqsManagedSseEnabled"] for queue in queues)


def test_api_is_the_only_public_entry_point(stage: str) -> None:
    done = recorded(stage)
    kinds = {each.type for each in done.resources}
    assert not [
        kind for kind in kinds if "internetGateway" in kind or "natGateway" in kind or "/eip:" in kind
    ]
    routes = done.of("aws:apigatewayv2/route:Route")
    expected = {"iam": "AWS_IAM", "none": "NONE"}[section(stage, "api")["auth"]]
    assert {route.inputs["authorizationType"] for route in routes} == {expected}


def test_security_group_descriptions_have_allowed_characters(stage: str) -> None:
    done = recorded(stage)
    kinds = ("aws:ec2/securityGroup:SecurityGroup", RULES[0], RULES[1])
    described = [each.inputs["description"] for kind in kinds for each in done.of(kind)]
    assert described
    # EC2 API, CreateSecurityGroup
    assert [
        text for text in described if not re.fullmatch(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}", text)
    ] == []


def test_log_groups_have_the_stages_retention(stage: str) -> None:
    kept = {group.inputs["retentionInDays"] for group in recorded(stage).of(LOG_GROUP)}
    assert kept == {section(stage, "storage")["log_retention_days"]}


def test_runs_recommendations_and_logs_expire_and_models_do_not(stage: str) -> None:
    done, keep = recorded(stage), section(stage, "storage")
    runs_days = keep["expire_prepared_runs_after_days"]
    expiry = {}
    for bucket, inputs in by_bucket(done, "BucketLifecycleConfiguration").items():
        rules = [rule for rule in inputs["rules"] if "days" in rule["expiration"]]
        expiry[bucket.split("-")[0]] = {
            rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in rules
        }
    assert expiry == {
        "data": {"prepared/": runs_days, "recommendations/": runs_days, "scratch/": 2},
        "artifacts": {},
        "logs": {"": keep["expire_logs_after_days"]},
    }


def test_delete_markers_expire_in_every_bucket(stage: str) -> None:
    for bucket, inputs in by_bucket(recorded(stage), "BucketLifecycleConfiguration").items():
        whole = [rule["expiration"] for rule in inputs["rules"] if rule["id"] == "versions"]
        assert whole == [{"expiredObjectDeleteMarker": True}], bucket


def test_irreplaceable_resources_are_protected_when_configured(stage: str) -> None:
    guarded = {each.name for each in recorded(stage).resources if each.protect}
    expected = {"data", "artifacts", "key", "packages"} if stage_file(stage)["ncf:protect_data"] else set()
    assert guarded == expected


def test_no_bucket_is_emptied_on_deletion(stage: str) -> None:
    assert {bucket.inputs["forceDestroy"] for bucket in recorded(stage).of(BUCKET)} == {False}
