"""The account program: which jobs may assume which role, and what each role may do."""

from __future__ import annotations

import functools
import json
import runpy
from typing import Any

import pulumi
import pytest
import yaml

from emulator.authorization.policies import Call, allows, decide
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, REGION, Recording
from tests.repository import ROOT, STAGES
from tests.stacks.program import engine_config
from tests.stacks.program import recorded as recorded_stage

PROJECT_PATH = "your-group/ncf-recommender-platform"
JENKINS = f"arn:aws:iam::{ACCOUNT}:role/jenkins-agents"
STATE = "arn:aws:s3:::your-pulumi-state"
STATE_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"
MAX_INLINE_POLICIES = 10_240  # IAM user guide, quotas: characters of all inline policies of a role
TOKEN = {"gitlab.com:aud": "sts.amazonaws.com"}
ASSUME = "sts:AssumeRoleWithWebIdentity"


def example(**changes: Any) -> dict[str, str]:
    """Engine configuration of `account/Pulumi.example.yaml`."""
    config = yaml.safe_load((ROOT / "account/Pulumi.example.yaml").read_text())["config"]
    config["ncf-account:jenkins_principal_arn"] = JENKINS
    config |= {f"ncf-account:{key}": value for key, value in changes.items()}
    return engine_config(config)


def run_program(**changes: Any) -> Recording:
    def program() -> None:
        runpy.run_path(str(ROOT / "account/__main__.py"))

    return pulumi_engine.run(program, config=example(**changes), stack="example", project="ncf-account")


@functools.cache
def recorded() -> Recording:
    return run_program()


def trust(role: str) -> dict[str, Any]:
    return json.loads(recorded().one("aws:iam/role:Role", role).inputs["assumeRolePolicy"])


def policies(role: str) -> list[str]:
    """Inline policies of a role."""
    name = recorded().one("aws:iam/role:Role", role).outputs["name"]
    found = [each for each in recorded().of("aws:iam/rolePolicy:RolePolicy") if each.inputs["role"] == name]
    assert found
    return [each.inputs["policy"] for each in found]


def job(project: str = PROJECT_PATH, ref: str = "main", kind: str = "branch") -> dict[str, str]:
    """Condition keys of the ID token of a job."""
    return {**TOKEN, "gitlab.com:sub": f"project_path:{project}:ref_type:{kind}:ref:{ref}"}


def may_assume(role: str, claims: dict[str, str]) -> bool:
    (statement,) = trust(role)["Statement"]
    assert statement["Principal"] == {"Federated": recorded().exports["provider_arn"]}
    assert statement["Action"] == ASSUME
    without_principal = {key: value for key, value in statement.items() if key != "Principal"}
    return allows([{"Statement": [{**without_principal, "Resource": "*"}]}], Call(ASSUME, context=claims))


@pytest.mark.parametrize("stage", STAGES)
def test_only_jobs_of_the_main_branch_assume_the_deploy_role(stage: str) -> None:
    role = f"{stage}-deploy"
    assert trust(role)["Statement"][0]["Condition"] == {
        "StringEquals": {
            "gitlab.com:aud": "sts.amazonaws.com",
            "gitlab.com:sub": f"project_path:{PROJECT_PATH}:ref_type:branch:ref:main",
        }
    }
    assert may_assume(role, job())
    for claims in (
        job(ref="feature"),
        job(ref="main2"),
        job(ref="x:ref:main"),
        job(kind="tag"),
        job(project="fork/ncf-recommender-platform"),
        job(project=f"{PROJECT_PATH}-2"),
        {**job(), "gitlab.com:aud": "https://gitlab.com"},
    ):
        assert not may_assume(role, claims), claims


@pytest.mark.parametrize("stage", STAGES)
def test_jobs_of_every_branch_of_the_project_assume_the_preview_role(stage: str) -> None:
    role = f"{stage}-preview"
    assert may_assume(role, job(ref="feature/42"))
    for claims in (
        job(kind="tag"),
        job(project="fork/ncf-recommender-platform"),
        job(project=f"{PROJECT_PATH}/sub"),
        {**job(), "gitlab.com:aud": "https://gitlab.com"},
    ):
        assert not may_assume(role, claims), claims


@pytest.mark.parametrize("stage", STAGES)
def test_preview_role_reads_the_state_of_its_stage_and_nothing_else(stage: str) -> None:
    statements = [each for text in policies(f"{stage}-preview") for each in json.loads(text)["Statement"]]
    granted = {(action, arn) for each in statements for action in each["Action"] for arn in each["Resource"]}
    assert granted == {
        ("s3:ListBucket", STATE),
        ("s3:GetObject", f"{STATE}/.pulumi/meta.yaml"),
        ("s3:GetObject", f"{STATE}/.pulumi/stacks/ncf/{stage}.*"),
        ("kms:Decrypt", STATE_KEY),
    }


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_writes_the_state_of_its_stage_only(stage: str) -> None:
    documents = policies(f"{stage}-deploy")
    other = next(each for each in STAGES if each != stage)
    for key, own in (
        (f"stacks/ncf/{stage}.json", True),
        (f"locks/organization/ncf/{stage}/1.json", True),
        (f"history/ncf/{stage}/{stage}-1.history.json", True),
        (f"backups/ncf/{stage}/{stage}.1.json", True),
        (f"stacks/ncf/{other}.json", False),
        (f"locks/organization/ncf/{other}/1.json", False),
        ("meta.yaml", False),
    ):
        assert allows(documents, Call("s3:PutObject", f"{STATE}/.pulumi/{key}")) is own, key
    assert not allows(documents, Call("s3:DeleteBucket", STATE))
    assert not allows(documents, Call("kms:ScheduleKeyDeletion", STATE_KEY))


def arn(service: str, resource: str, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


# Type of resource -> IAM actions that create and delete it, and its ARN, with `{name}` if it has a name.
# A type of a stage that is missing here is a KeyError.
BY_TYPE: dict[str, tuple[tuple[str, ...], str]] = {
    "aws:apigatewayv2/api:Api": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1",
    ),
    "aws:apigatewayv2/integration:Integration": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/integrations",
    ),
    "aws:apigatewayv2/route:Route": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/routes",
    ),
    "aws:apigatewayv2/stage:Stage": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/stages",
    ),
    "aws:appautoscaling/policy:Policy": (
        ("application-autoscaling:PutScalingPolicy", "application-autoscaling:DeleteScalingPolicy"),
        arn("application-autoscaling", "scalable-target/1"),
    ),
    "aws:appautoscaling/target:Target": (
        (
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget",
        ),
        arn("application-autoscaling", "scalable-target/1"),
    ),
    "aws:budgets/budget:Budget": (
        ("budgets:ModifyBudget", "budgets:ViewBudget"),
        arn("budgets", "budget/{name}", ""),
    ),
    "aws:cloudwatch/dashboard:Dashboard": (
        ("cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"),
        arn("cloudwatch", "dashboard/{name}", ""),
    ),
    "aws:cloudwatch/eventRule:EventRule": (
        ("events:PutRule", "events:DeleteRule"),
        arn("events", "rule/{name}"),
    ),
    "aws:cloudwatch/eventTarget:EventTarget": (
        ("events:PutTargets", "events:RemoveTargets"),
        arn("events", "rule/{name}"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        ("logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy"),
        arn("logs", "log-group:{name}"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
        arn("cloudwatch", "alarm:{name}"),
    ),
    "aws:codebuild/project:Project": (
        ("codebuild:CreateProject", "codebuild:DeleteProject"),
        arn("codebuild", "project/{name}"),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        ("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:ec2/flowLog:FlowLog": (
        ("ec2:CreateFlowLogs", "ec2:DeleteFlowLogs"),
        arn("ec2", "vpc-flow-log/fl-1"),
    ),
    "aws:ec2/routeTable:RouteTable": (
        ("ec2:CreateRouteTable", "ec2:DeleteRouteTable"),
        arn("ec2", "route-table/rtb-1"),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        ("ec2:AssociateRouteTable", "ec2:DisassociateRouteTable"),
        arn("ec2", "route-table/rtb-1"),
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        ("ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:ec2/subnet:Subnet": (("ec2:CreateSubnet", "ec2:DeleteSubnet"), arn("ec2", "subnet/subnet-1")),
    "aws:ec2/vpc:Vpc": (
        ("ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute"),
        arn("ec2", "vpc/vpc-1"),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        ("ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints"),
        arn("ec2", "vpc-endpoint/vpce-1"),
    ),
    "aws:emr/securityConfiguration:SecurityConfiguration": (
        ("elasticmapreduce:CreateSecurityConfiguration", "elasticmapreduce:DeleteSecurityConfiguration"),
        "*",
    ),
    "aws:iam/instanceProfile:InstanceProfile": (
        ("iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
        arn("iam", "instance-profile/{name}", ""),
    ),
    "aws:iam/role:Role": (
        ("iam:CreateRole", "iam:DeleteRole", "iam:PassRole"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        ("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": (
        ("iam:AttachRolePolicy", "iam:DetachRolePolicy"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:kms/alias:Alias": (("kms:CreateAlias", "kms:DeleteAlias"), arn("kms", "{name}")),
    "aws:kms/key:Key": (("kms:ScheduleKeyDeletion", "kms:EnableKeyRotation"), arn("kms", "key/k-1")),
    "aws:kms/keyPolicy:KeyPolicy": (("kms:PutKeyPolicy",), arn("kms", "key/k-1")),
    "aws:lambda/function:Function": (
        ("lambda:CreateFunction", "lambda:DeleteFunction"),
        arn("lambda", "function:{name}"),
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        ("lambda:PutFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig"),
        arn("lambda", "function:{name}"),
    ),
    "aws:lambda/permission:Permission": (
        ("lambda:AddPermission", "lambda:RemovePermission"),
        arn("lambda", "function:{name}"),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": (
        ("s3:PutObject", "s3:DeleteObject"),
        "arn:aws:s3:::{name}/spark/main.py",
    ),
    "aws:sagemaker/endpoint:Endpoint": (
        ("sagemaker:CreateEndpoint", "sagemaker:DeleteEndpoint"),
        arn("sagemaker", "endpoint/{name}"),
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        ("sagemaker:CreateEndpointConfig", "sagemaker:DeleteEndpointConfig"),
        arn("sagemaker", "endpoint-config/{name}"),
    ),
    "aws:sagemaker/model:Model": (
        ("sagemaker:CreateModel", "sagemaker:DeleteModel"),
        arn("sagemaker", "model/{name}"),
    ),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": (
        ("sagemaker:CreateModelPackageGroup", "sagemaker:DeleteModelPackageGroup"),
        arn("sagemaker", "model-package-group/{name}"),
    ),
    "aws:scheduler/schedule:Schedule": (
        ("scheduler:CreateSchedule", "scheduler:DeleteSchedule"),
        arn("scheduler", "schedule/default/{name}"),
    ),
    "aws:sns/topic:Topic": (("sns:CreateTopic", "sns:DeleteTopic"), arn("sns", "{name}")),
    "aws:sns/topicPolicy:TopicPolicy": (("sns:SetTopicAttributes",), arn("sns", "{name}")),
    "aws:sns/topicSubscription:TopicSubscription": (
        ("sns:Subscribe", "sns:Unsubscribe"),
        arn("sns", "{name}"),
    ),
    "aws:sqs/queue:Queue": (("sqs:CreateQueue", "sqs:DeleteQueue"), arn("sqs", "{name}")),
    "aws:sqs/queuePolicy:QueuePolicy": (("sqs:SetQueueAttributes",), arn("sqs", "{name}")),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        ("ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
        arn("ec2", "security-group/sg-1"),
    ),
}
BUCKET = (("s3:CreateBucket", "s3:DeleteBucket", "s3:PutBucketPolicy"), "arn:aws:s3:::{name}")
GIVEN_NAME = {  # input with the name, of types whose name the program may choose
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
}


def calls(resource: pulumi_engine.Resource, stage: str) -> list[Call]:
    """Calls that create and delete a resource of a stage."""
    is_bucket = resource.type.startswith("aws:s3/bucket") and "Object" not in resource.type
    actions, form = BUCKET if is_bucket else BY_TYPE[resource.type]
    given = resource.inputs.get(GIVEN_NAME.get(resource.type, "name"))
    name = given if given and given != "$default" else f"ncf-{stage}-{resource.name}-1a2b3c"
    context = {"aws:ResourceTag/Stage": stage, "aws:RequestedRegion": REGION}
    return [Call(action, form.format(name=name, region=REGION), context=context) for action in actions]


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_creates_and_deletes_every_resource_of_its_stage(stage: str) -> None:
    documents = policies(f"{stage}-deploy")
    resources = [each for each in recorded_stage(stage).resources if each.custom]
    denied = [
        (resource.name, call.action, call.resource)
        for resource in resources
        for call in calls(resource, stage)
        if not allows(documents, call)
    ]
    assert denied == []


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_cannot_touch_named_resources_of_another_stage(stage: str) -> None:
    other = next(each for each in STAGES if each != stage)
    by_id = ("ec2:", "apigateway:", "application-autoscaling:", "elasticmapreduce:")
    allowed = [
        (resource.name, call.action, call.resource)
        for resource in recorded_stage(other).resources
        if resource.custom
        for call in calls(resource, other)
        if not call.action.startswith(by_id) and allows(policies(f"{stage}-deploy"), call)
    ]
    assert allowed == []


@pytest.mark.parametrize("stage", STAGES)
def test_deploy_role_cannot_change_the_roles_of_ci(stage: str) -> None:
    role = arn("iam", f"role/ncf-account-example-{stage}-deploy-1a2b3c", "")
    for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole"):
        assert decide(policies(f"{stage}-deploy"), Call(action, role)) == "implicitDeny"
    linked = arn("iam", "role/aws-service-role/x", "")
    for service, allowed in (("spot.amazonaws.com", True), ("organizations.amazonaws.com", False)):
        call = Call("iam:CreateServiceLinkedRole", linked, context={"iam:AWSServiceName": service})
        assert allows(policies(f"{stage}-deploy"), call) is allowed


def test_policies_fit_into_a_role() -> None:
    for role in recorded().of("aws:iam/role:Role"):
        assert sum(len(text.replace(" ", "")) for text in policies(role.name)) <= MAX_INLINE_POLICIES


@pytest.mark.parametrize("stage", STAGES)
def test_publish_role_is_for_the_agents_and_uploads_the_code_bundle_only(stage: str) -> None:
    role = f"{stage}-publish"
    assert trust(role)["Statement"] == [
        {"Effect": "Allow", "Principal": {"AWS": JENKINS}, "Action": "sts:AssumeRole"}
    ]
    documents = policies(role)
    bucket = f"arn:aws:s3:::ncf-{stage}-artifacts-1a2b3c"
    assert allows(documents, Call("s3:PutObject", f"{bucket}/code/source.zip"))
    assert not allows(documents, Call("s3:PutObject", f"{bucket}/models/m.tar.gz"))
    assert not allows(documents, Call("s3:GetObject", f"{bucket}/code/source.zip"))
    key = arn("kms", "key/k-1")
    through_s3 = {"aws:ResourceTag/Stage": stage, "kms:ViaService": f"s3.{REGION}.amazonaws.com"}
    assert allows(documents, Call("kms:GenerateDataKey", key, context=through_s3))
    assert not allows(documents, Call("kms:GenerateDataKey", key, context={"aws:ResourceTag/Stage": stage}))


def test_without_jenkins_there_is_no_publish_role() -> None:
    recording = run_program(jenkins_principal_arn=None)
    assert [each.name for each in recording.of("aws:iam/role:Role") if "publish" in each.name] == []
    assert "dev_publish_role_arn" not in recording.exports


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gitlab": {"url": "https://gitlab.com", "project": "group/*", "branch": "main"}},
            r"project 'group/\*'",
        ),
        ({"gitlab": {"url": "https://gitlab.com", "project": "a/b", "branch": "*"}}, r"branch '\*'"),
        ({"gitlab": {"url": "http://gitlab.com", "project": "a/b", "branch": "main"}}, "https URL"),
        ({"gitlab": {"url": "https://gitlab.com", "project": "a/b"}}, "gitlab.branch: Field required"),
        ({"stages": []}, "stages"),
        ({"state": {"bucket": "b-1", "key_arn": "alias/x"}}, "state.key_arn"),
    ],
)
def test_wrong_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, pulumi.RunError), match=message):
        run_program(**changes)
