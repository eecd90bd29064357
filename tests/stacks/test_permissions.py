"""Every grant of both stages: exact actions, named resources, and all that the code calls."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tests.repository import FUNCTIONS, ROOT, STAGES
from tests.stacks.program import recorded

pytestmark = pytest.mark.parametrize("stage", STAGES)

# None of these has resource-level permissions, or the resource doesn't exist yet (service authorization
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
# IAM's names for what the API calls otherwise (service authorization reference).
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
# What a client's method needs where IAM calls it otherwise.
NEEDS = {"head_object": "s3:GetObject"}


def statements(stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Role name and statement of every inline policy."""
    for policy in recorded(stage).of("aws:iam/rolePolicy:RolePolicy"):
        for statement in json.loads(policy.inputs["policy"])["Statement"]:
            yield policy.name, statement


def test_no_action_has_a_star(stage: str) -> None:
    starred = {action for _, each in statements(stage) for action in each["Action"] if "*" in action}
    assert starred == set()


def test_only_the_known_actions_are_granted_on_any_resource(stage: str) -> None:
    anywhere = {
        action for _, each in statements(stage) if "*" in each["Resource"] for action in each["Action"]
    }
    assert anywhere <= ANY_RESOURCE


def test_an_arn_is_of_the_service_whose_action_it_takes(stage: str) -> None:
    wrong = [
        (role, action, arn)
        for role, each in statements(stage)
        for action in each["Action"]
        for arn in each["Resource"]
        if arn != "*" and not re.match(rf"arn:aws:{action.partition(':')[0]}:", arn)
    ]
    assert wrong == []


def test_an_arn_names_more_than_a_service(stage: str) -> None:
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


def test_a_role_is_handed_over_to_one_named_service(stage: str) -> None:
    for role, each in statements(stage):
        if "iam:PassRole" in each["Action"]:
            assert each["Action"] == ["iam:PassRole"], role
            assert each["Condition"]["StringEquals"]["iam:PassedToService"].endswith(".amazonaws.com")
            assert all(":role/" in arn for arn in each["Resource"])


def test_services_that_act_for_accounts_are_bound_to_this_one(stage: str) -> None:
    says_no_account = {"lambda.amazonaws.com", "ec2.amazonaws.com"}
    for role in recorded(stage).of("aws:iam/role:Role"):
        (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        if trust["Principal"].get("Service", "ec2.amazonaws.com") not in says_no_account:
            assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}, role.name


def test_nobody_but_the_account_may_do_anything_with_the_key(stage: str) -> None:
    document = json.loads(recorded(stage).one("aws:kms/keyPolicy:KeyPolicy").inputs["policy"])
    for statement in document["Statement"]:
        if statement["Action"] == "kms:*":
            assert statement["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
        else:
            assert not [action for action in statement["Action"] if "*" in action]
            assert statement.get("Condition") or statement["Principal"] == {
                "Service": ["events.amazonaws.com"]
            }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_exactly_the_environment_that_it_reads(stage: str, function: str) -> None:
    deployed = recorded(stage).one("aws:lambda/function:Function", function.replace("_", "-"))
    read = set()
    for path in (ROOT / "lambdas" / function).glob("*.py"):
        read |= set(re.findall(r"os\.environ\[\"(\w+)\"\]", path.read_text(encoding="utf-8")))
    assert read
    assert set(deployed.inputs["environment"]["variables"]) == read


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_make_every_call_that_it_makes(stage: str, function: str) -> None:
    role = f"{function.replace('_', '-')}-role-policy"
    granted = {action for name, each in statements(stage) if name == role for action in each["Action"]}
    called = set(calls(ROOT / "lambdas" / function))
    assert called
    assert called <= granted


def calls(folder: Path) -> Iterator[str]:
    """The IAM actions of the AWS calls in a function's code: methods of its one client, by name."""
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))]
    nodes = [node for source in sources for node in ast.walk(source)]
    (service,) = {
        str(node.args[0].value)
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "client"
        and isinstance(node.args[0], ast.Constant)
    }
    prefix = service.removesuffix("-runtime")
    model = botocore.session.get_session().get_service_model(service)
    methods = {xform_name(operation): operation for operation in model.operation_names}
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    # Operations may also be passed by name: to a paginator, or to a helper of the function's own.
    names |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for name in sorted(names & set(methods)):
        yield NEEDS.get(name, f"{prefix}:{methods[name]}")
