"""Permissions and roles: rejected values, policy documents and trust policies."""

import json

import pulumi
import pulumi_aws as aws
import pytest

from components.iam import (
    Allow,
    PrincipalRole,
    PrincipalRoleArgs,
    ServiceRole,
    ServiceRoleArgs,
    grant_container_logs_and_metrics,
    grant_pass_role,
    grant_write_log,
    policy,
    service_trust,
)
from tests import pulumi_engine

ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
QUEUE_ARN = "arn:aws:sqs:ap-northeast-2:123456789012:letters"
SEND = Allow(actions=["sqs:SendMessage"], resources=[QUEUE_ARN])


@pytest.mark.parametrize("action", ["*", "s3:*", "s3:Get*", "*:GetObject", "GetObject", "s3:", ":GetObject"])
def test_action_with_a_wildcard_is_refused(action: str) -> None:
    with pytest.raises(ValueError, match="name each action in full"):
        Allow(actions=[action], resources=[QUEUE_ARN])


def test_wildcard_resource_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="name the resources, or state why none can be"):
        Allow(actions=["xray:PutTraceSegments"], resources=["*"])
    Allow(actions=["xray:PutTraceSegments"], resources=["*"], reason="X-Ray has none")


@pytest.mark.parametrize(("actions", "resources"), [([], [QUEUE_ARN]), (["sqs:SendMessage"], [])])
def test_empty_permission_is_refused(actions: list[str], resources: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one action and one resource"):
        Allow(actions=actions, resources=resources)


def test_overlapping_permissions_are_granted_once() -> None:
    read = Allow(actions=["sqs:ReceiveMessage", "sqs:SendMessage"], resources=[QUEUE_ARN])
    other = Allow(actions=["sqs:SendMessage"], resources=[f"{QUEUE_ARN}-2"])
    done = pulumi_engine.run(lambda: policy([SEND, other, read, SEND]))
    assert json.loads(done.values)["Statement"] == [
        {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:SendMessage"], "Resource": [QUEUE_ARN]},
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [f"{QUEUE_ARN}-2"]},
    ]


def test_policy_contains_exactly_the_given_permissions() -> None:
    role_arn = "arn:aws:iam::123456789012:role/jobs"
    done = pulumi_engine.run(lambda: policy([SEND, grant_pass_role(role_arn, "sagemaker.amazonaws.com")]))
    assert json.loads(done.values) == {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": [QUEUE_ARN]},
            {
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": [role_arn],
                "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            },
        ],
    }


def test_service_trust_names_the_source_account() -> None:
    done = pulumi_engine.run(lambda: [service_trust("events.amazonaws.com", pulumi.Output.from_input("123"))])
    (statement,) = json.loads(done.values[0])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123"}}


def test_role_arn_resolves_after_its_policies() -> None:
    managed = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"

    def program() -> None:
        role = ServiceRole(
            "work",
            ServiceRoleArgs(service="ec2.amazonaws.com", allows=[SEND], managed_policy_arns=[managed]),
        )
        aws.iam.InstanceProfile("profile", role=role.name)

    done = pulumi_engine.run(program)
    assert done.one(ATTACHMENT).inputs["policyArn"] == managed
    waited_for = done.one("aws:iam/instanceProfile:InstanceProfile").dependencies
    assert {done.one(kind).urn for kind in (ROLE, ROLE_POLICY, ATTACHMENT)} <= waited_for


def test_principal_role_trusts_one_principal() -> None:
    workers = "arn:aws:iam::123456789012:role/airflow-workers"
    args = PrincipalRoleArgs(principal_arn=workers, allows=[SEND])
    done = pulumi_engine.run(lambda: PrincipalRole("airflow", args).arn)
    (statement,) = json.loads(done.one(ROLE).inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"AWS": workers}
    assert done.values == done.one(ROLE).outputs["arn"]
    assert json.loads(done.one(ROLE_POLICY).inputs["policy"])["Statement"] == [SEND.statement()]


@pytest.mark.parametrize("arn", ["*", "123456789012", "arn:aws:iam::123456789012:root"])
def test_account_root_as_principal_is_refused(arn: str) -> None:
    with pytest.raises(ValueError, match="write the ARN of one role or user"):
        PrincipalRoleArgs(principal_arn=arn, allows=[SEND])


def test_write_log_permission_names_the_log_streams() -> None:
    group = "arn:aws:logs:ap-northeast-2:123456789012:log-group:ncf"
    (statement,) = json.loads(pulumi_engine.run(lambda: policy([grant_write_log(group)])).values)["Statement"]
    assert statement["Resource"] == [f"{group}:*"]


def test_container_permissions_name_log_groups_and_metric_namespaces() -> None:
    groups = [f"arn:aws:logs:ap-northeast-2:123456789012:log-group:{name}" for name in ("a", "b")]

    def program() -> pulumi.Output[str]:
        return policy(grant_container_logs_and_metrics(groups, creates_groups=True))

    document = json.loads(pulumi_engine.run(program).values)
    logs, metrics = document["Statement"]
    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= set(logs["Action"])
    assert logs["Resource"] == [f"{group}:*" for group in groups]
    assert metrics["Action"] == ["cloudwatch:PutMetricData"]
    assert metrics["Condition"] == {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}


def test_invalid_service_principal_is_refused() -> None:
    with pytest.raises(ValueError, match="write a service principal"):
        ServiceRoleArgs(service="lambda", allows=[SEND])
