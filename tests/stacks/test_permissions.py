"""Permissions of every stage: exact actions, named resources, and every call that the code makes."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from ml import contract
from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded

pytestmark = pytest.mark.parametrize("stage", STAGES)

# Actions without resource-level permissions, or on resources that do not exist yet (service authorization
# reference).
ANY_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "elasticmapreduce:ListClusters",
    "elasticmapreduce:RunJobFlow",
    "sagemaker:ListEndpointConfigs",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
# IAM actions that are not names of API operations (service authorization reference).
NOT_AN_OPERATION = {
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "lambda:InvokeFunction",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "sagemaker:InvokeEndpoint",
    "iam:PassRole",
}
BOTOCORE_NAMES = {"elasticmapreduce": "emr"}
# Client methods whose IAM action has another name.
NEEDS = {"head_object": "s3:GetObject"}


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
    session = botocore.session.get_session()
    operations: dict[str, set[str]] = {}
    for action in sorted({action for _, each in statements(stage) for action in each["Action"]}):
        service, _, verb = action.partition(":")
        if service not in operations:
            model = session.get_service_model(BOTOCORE_NAMES.get(service, service))
            operations[service] = set(model.operation_names)
        assert action in NOT_AN_OPERATION or verb in operations[service], action


def test_pass_role_is_restricted_to_one_service(stage: str) -> None:
    for role, each in statements(stage):
        if "iam:PassRole" in each["Action"]:
            assert each["Action"] == ["iam:PassRole"], role
            assert each["Condition"]["StringEquals"]["iam:PassedToService"].endswith(".amazonaws.com")
            assert all(":role/" in arn for arn in each["Resource"])


def test_trust_policies_name_the_source_account(stage: str) -> None:
    sends_no_account = {"lambda.amazonaws.com", "ec2.amazonaws.com"}
    for role in recorded(stage).of("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if trust["Principal"].get("Service", "ec2.amazonaws.com") not in sends_no_account:
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


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_role_permits_every_call_of_the_code(stage: str, function: str) -> None:
    role = f"{function.replace('_', '-')}-role-policy"
    granted = {action for name, each in statements(stage) if name == role for action in each["Action"]}
    called = set(calls(ROOT / "lambdas" / function))
    assert called
    assert called <= granted


def calls(folder: Path) -> Iterator[str]:
    """IAM actions of the API operations that a function's code calls with its clients."""
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))]
    nodes = [node for source in sources for node in ast.walk(source)]
    services = {
        str(node.args[0].value)
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "client"
        and isinstance(node.args[0], ast.Constant)
    }
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # Operations may also be passed by name, for example to a paginator.
    names |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for service in sorted(services):
        model = botocore.session.get_session().get_service_model(service)
        methods = {xform_name(operation): operation for operation in model.operation_names}
        for name in sorted(names & set(methods)):
            yield NEEDS.get(name, f"{service.removesuffix('-runtime')}:{methods[name]}")


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
