"""Permissions of every stage: exact actions, named resources, restricted passing of roles."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.authorization.resources import resource_types
from ml import contract
from policies.access import ANY_RESOURCE, SENDS_NO_ACCOUNT
from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded

pytestmark = pytest.mark.parametrize("stage", STAGES)


def statements(stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Policy name and statement of every inline policy."""
    for policy in recorded(stage).of("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            yield policy.name, statement


def test_no_action_has_a_wildcard(stage: str) -> None:
    starred = {action for _, each in statements(stage) for action in each["Action"] if "*" in action}
    assert starred == set()


def test_only_listed_actions_are_granted_on_any_resource(stage: str) -> None:
    anywhere = {
        action for _, each in statements(stage) if "*" in each["Resource"] for action in each["Action"]
    }
    assert anywhere <= ANY_RESOURCE


def test_resource_belongs_to_the_service_of_the_action(stage: str) -> None:
    wrong = [
        (role, action, arn)
        for role, each in statements(stage)
        for action in each["Action"]
        for arn in each["Resource"]
        if arn != "*" and not re.match(rf"arn:aws:{action.partition(':')[0]}:", arn)
    ]
    assert wrong == []


def test_arn_names_more_than_a_service(stage: str) -> None:
    arns = {arn for _, each in statements(stage) for arn in each["Resource"] if arn != "*"}
    assert [arn for arn in arns if not re.search(r"[a-zA-Z0-9]", arn.split(":", 5)[5])] == []


def test_every_action_exists(stage: str) -> None:
    granted = {action for _, each in statements(stage) for action in each["Action"]}
    unknown = [action for action in granted if resource_types(*action.split(":")) is None]
    assert unknown == []


def test_pass_role_is_restricted_to_one_service(stage: str) -> None:
    for role, each in statements(stage):
        if "iam:PassRole" in each["Action"]:
            assert each["Action"] == ["iam:PassRole"], role
            assert each["Condition"]["StringEquals"]["iam:PassedToService"].endswith(".amazonaws.com")
            assert all(":role/" in arn for arn in each["Resource"])


def test_trust_policies_name_the_source_account(stage: str) -> None:
    for role in recorded(stage).of("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if trust["Principal"].get("Service", "ec2.amazonaws.com") not in SENDS_NO_ACCOUNT:
            assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}, role.name


def test_key_policy_gives_full_access_to_the_account_only(stage: str) -> None:
    document = json.loads(recorded(stage).one("aws:kms/keyPolicy:KeyPolicy").inputs["policy"])
    for statement in document["Statement"]:
        if statement["Action"] == "kms:*":
            assert statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
        else:
            assert not [action for action in statement["Action"] if "*" in action]
            assert statement["Principal"] != {"AWS": "*"} or "aws:PrincipalArn" in str(statement["Condition"])
            assert statement.get("Condition") or statement["Principal"] == {
                "Service": ["events.amazonaws.com"]
            }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_has_exactly_the_environment_that_it_reads(stage: str, function: str) -> None:
    deployed = recorded(stage).one("aws:lambda/function:Function", function.replace("_", "-"))
    read = set()
    for path in (ROOT / "lambdas" / function).glob("*.py"):
        read |= set(re.findall(r"os\.environ\[\"(\w+)\"\]", path.read_text(encoding="utf-8")))
    assert read
    assert set(deployed.inputs["environment"]["variables"]) == read


def test_only_roles_of_services_that_need_it_encrypt_directly_or_re_encrypt(stage: str) -> None:
    """S3 needs GenerateDataKey and Decrypt only; EMR's disks and SageMaker's outputs need more."""
    direct = {"kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
    holders = {role for role, each in statements(stage) if direct & set(each["Action"])}
    assert holders == {"preparation-nodes-policy", "preparation-service-policy", "job-role-policy"}


def test_a_single_key_is_not_granted_as_a_prefix(stage: str) -> None:
    arns = {arn for _, each in statements(stage) for arn in each["Resource"] if ":s3:::" in arn}
    keys = {arn.partition("/")[2] for arn in arns}
    for key in (contract.CODE_BUNDLE_KEY, contract.RUN_JOB_FLOW_KEY):
        assert f"{key}*" not in keys
    assert contract.CODE_BUNDLE_KEY in keys


def test_deploy_model_deletes_only_models_of_its_stage(stage: str) -> None:
    deleting = [
        each
        for role, each in statements(stage)
        if role == "deploy-model-role-policy" and "sagemaker:DeleteModel" in each["Action"]
    ]
    for each in deleting:
        by_name = all(f":model/ncf-{stage}-v" in arn for arn in each["Resource"])
        by_tag = each.get("Condition") == {"StringEquals": {"aws:ResourceTag/Stage": stage}}
        assert by_name or by_tag, each
    assert deleting


def test_spot_instances_may_be_launched_with_encrypted_volumes(stage: str) -> None:
    """EC2's service-linked role has no permissions on a customer managed key unless its policy has them."""
    document = json.loads(recorded(stage).one("aws:kms/keyPolicy:KeyPolicy").inputs["policy"])
    use, grant = (each for each in document["Statement"] if each["Sid"].startswith("Launching"))
    role = "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    for each in (use, grant):
        assert each["Condition"]["StringEquals"] == {
            "aws:PrincipalArn": [role],
            "kms:CallerAccount": "123456789012",
        }
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert "kms:GenerateDataKeyWithoutPlaintext" in use["Action"]
