"""Deployment of every stage to the emulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from local.deploy.creators import CREATORS
from local.deploy.engine import Deployment, deploy
from local.deploy.not_emulated import NOT_EMULATED, as_markdown
from ml.contract import RUN_ID_PLACEHOLDER, parse_run_id
from tests.account.program import policies, run_program, trust
from tests.account.program import recorded as recorded_account
from tests.local.projects import REGION
from tests.polling import eventually
from tests.pulumi_engine import RecordedResource, Recording
from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded, section

SCHEDULE = "aws:scheduler/schedule:Schedule"


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def registered(stage: str) -> list[RecordedResource]:
    """Resources that the stage registers, without components."""
    return [resource for resource in recorded(stage).resources if resource.custom]


def role_of_ci(emulator: Emulator, role: str, account: Recording) -> str:
    """ARN of a new role with the policies of a role of the account program."""
    iam, name = (
        emulator.client("iam"),
        f"ncf-account-{len(emulator.client('iam').list_roles()['Roles'])}-{role}",
    )
    created = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust(role)))
    for number, document in enumerate(policies(role, account)):
        iam.put_role_policy(RoleName=name, PolicyName=f"policy-{number}", PolicyDocument=document)
    return str(created["Role"]["Arn"])


@pytest.fixture(scope="module")
def deploy_role(stage: str, emulator: Emulator) -> str:
    """ARN of the role with which CI deploys the stage, created by the account's administrator."""
    return role_of_ci(emulator, f"{stage}-deploy", recorded_account())


@pytest.fixture(scope="module")
def deployment(stage: str, emulator: Emulator, deploy_role: str) -> Deployment:
    """All stages are deployed to one emulator, as to one account, each with the permissions of CI."""
    return deploy(stage, root=ROOT, emulator=emulator, role_arn=deploy_role)


def test_every_registered_type_has_a_creator(registered: list[RecordedResource]) -> None:
    assert sorted({resource.type for resource in registered} - CREATORS.keys()) == []


def test_every_registered_resource_is_created(
    registered: list[RecordedResource], deployment: Deployment
) -> None:
    assert sorted(r.urn for r in deployment.resources) == sorted(r.urn for r in registered)


def test_stack_outputs_name_existing_resources(
    stage: str, deployment: Deployment, emulator: Emulator
) -> None:
    outputs = deployment.outputs
    buckets = {bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]}
    projects = emulator.client("codebuild").list_projects()["projects"]
    endpoint = emulator.client("sagemaker").describe_endpoint(EndpointName=f"ncf-{stage}")

    assert {outputs["data_bucket"], outputs["artifacts_bucket"], outputs["logs_bucket"]} <= buckets
    assert outputs["codebuild_project"] in projects
    assert (outputs["endpoint_name"], endpoint["EndpointStatus"]) == (f"ncf-{stage}", "InService")
    assert outputs["api_url"].startswith(f"{emulator.url}/_aws/execute-api/")
    for function in FUNCTIONS:
        emulator.client("lambda").get_function(FunctionName=outputs[f"{function}_function"])
    for name, value in outputs.items():
        if name.endswith("_log_group"):
            groups = emulator.client("logs").describe_log_groups(logGroupNamePrefix=value)["logGroups"]
            assert value in {group["logGroupName"] for group in groups}, name
        if name.endswith("_dead_letter_queue_url"):
            emulator.client("sqs").get_queue_attributes(QueueUrl=value, AttributeNames=["QueueArn"])


def test_published_job_flow_names_deployed_resources(deployment: Deployment, emulator: Emulator) -> None:
    bucket, key = deployment.outputs["run_job_flow_uri"].removeprefix("s3://").split("/", 1)

    body = emulator.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    flow = json.loads(body)

    subnets = {r.id for r in deployment.resources if r.type == "aws:ec2/subnet:Subnet"}
    assert set(flow["Instances"]["Ec2SubnetIds"]) == subnets
    assert "unknown" not in body.decode().lower()


def test_buckets_have_the_stages_default_tags(stage: str, deployment: Deployment, emulator: Emulator) -> None:
    tags = emulator.client("s3").get_bucket_tagging(Bucket=deployment.outputs["data_bucket"])["TagSet"]

    found = {tag["Key"]: tag["Value"] for tag in tags}
    assert {"Owner", "Service", "Stage"} <= found.keys()
    assert found["Stage"] == stage


def test_inputs_declared_as_not_emulated_are_those_in_use(deployment: Deployment) -> None:
    assert deployment.not_emulated == NOT_EMULATED.keys()


def test_documentation_lists_inputs_that_are_not_emulated() -> None:
    text = (ROOT / "emulator" / "README.md").read_text()
    table = text.partition("<!-- not-emulated:begin -->\n")[2].partition("\n<!-- not-emulated:end -->")[0]

    assert table == as_markdown()


def test_roles_of_ci_use_the_state_of_their_stage(stage: str, emulator: Emulator) -> None:
    s3, key = emulator.client("s3"), emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    bucket, stack = f"state-of-{stage}", f".pulumi/stacks/ncf/{stage}.json"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]},
    )
    for name in (".pulumi/meta.yaml", stack, ".pulumi/stacks/ncf/other.json"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"{}")
    account = run_program(state={"bucket": bucket, "key_arn": key})
    for kind in ("preview", "deploy"):
        role = role_of_ci(emulator, f"{stage}-{kind}", account)
        own = emulator.host.role_client("s3", REGION, role, "ci")
        assert own.list_objects_v2(Bucket=bucket)["KeyCount"] >= 3
        assert own.get_object(Bucket=bucket, Key=stack)["Body"].read() == b"{}"
        with pytest.raises(ClientError, match="AccessDenied"):
            own.get_object(Bucket=bucket, Key=".pulumi/stacks/ncf/other.json")
        lock = f".pulumi/locks/organization/ncf/{stage}/1.json"
        if kind == "deploy":
            own.put_object(Bucket=bucket, Key=lock, Body=b"{}")
            own.delete_object(Bucket=bucket, Key=lock)
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                own.put_object(Bucket=bucket, Key=lock, Body=b"{}")


def steps(emulator: Emulator) -> list[dict[str, Any]]:
    """Steps of all clusters."""
    emr = emulator.client("emr")
    by_cluster = [
        emr.list_steps(ClusterId=cluster["Id"])["Steps"] for cluster in emr.list_clusters()["Clusters"]
    ]
    return [step for found in by_cluster for step in found]


def test_schedule_launches_the_published_job_flow_at_its_time(
    stage: str, deployment: Deployment, emulator: Emulator
) -> None:
    schedules = [
        resource
        for resource in deployment.resources
        if resource.type == SCHEDULE and resource.name == "preparation-schedule"
    ]
    assert len(schedules) == (section(stage, "spark")["scheduler"] == "eventbridge")
    for schedule in schedules:
        scheduler = emulator.client("scheduler")
        deployed = scheduler.get_schedule(
            Name=schedule.outputs["name"], GroupName=schedule.outputs["groupName"]
        )
        assert deployed["ScheduleExpression"].startswith("cron(")

        due = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
        kept = ("Name", "GroupName", "Description", "FlexibleTimeWindow", "Target")
        scheduler.update_schedule(
            **{name: deployed[name] for name in kept}, ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})"
        )

        (step,) = eventually(lambda: steps(emulator), timeout_s=90)
        for cluster in emulator.client("emr").list_clusters()["Clusters"]:
            emulator.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"]])
        arguments = step["Config"]["Args"]
        assert RUN_ID_PLACEHOLDER not in arguments
        assert parse_run_id(arguments[arguments.index("--run-id") + 1]) == f"{due:%Y%m%dT%H%M%SZ}"
