"""What the deploy role of a stage may do with resources of its stage, of another stage and of CI."""

from __future__ import annotations

import pytest

from emulator.authorization.policies import Call, allows, decide
from tests.account.deploy_calls import calls
from tests.account.program import arn, policies
from tests.repository import STAGES
from tests.stacks.program import recorded as recorded_stage


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
