"""Batch recommendations of a stage: the job's request, role and network, and nothing if they are disabled."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.pulumi_engine import Recording
from tests.stacks.program import STORE, recorded, request_errors, run_program, stage_file

POLICY = "aws:iam/rolePolicy:RolePolicy"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ROLLOUT = {"ProcessingJobName": "ncf-prod-batch-v1-0123abcd-1"}


@pytest.fixture(scope="module")
def with_store() -> Recording:
    config = copy.deepcopy(stage_file("prod"))
    config["ncf:feature_store"] = STORE
    return run_program("prod", config)


def request(done: Recording) -> dict[str, Any] | None:
    function = done.one("aws:lambda/function:Function", "deploy-model")
    return json.loads(function.inputs["environment"]["variables"]["BATCH_JOB"])


def actions(done: Recording, role: str) -> set[str]:
    policy = json.loads(done.one(POLICY, f"{role}-policy").inputs["policy"])
    return {action for each in policy["Statement"] for action in each["Action"]}


def test_stage_without_them_has_no_role_route_or_permission() -> None:
    assert stage_file("dev")["ncf:batch_recommendations"]["enabled"] is False
    done = recorded("dev")
    assert request(done) is None
    assert [each.name for each in done.resources if each.name.startswith("batch")] == []
    assert "sagemaker:CreateProcessingJob" not in actions(done, "deploy-model-role")


def test_request_is_valid_and_has_the_settings_of_the_stage() -> None:
    found, section = request(recorded("prod")), stage_file("prod")["ncf:batch_recommendations"]
    assert found is not None
    assert request_errors("sagemaker", "CreateProcessingJob", {**ROLLOUT, **found}) == ""
    cluster = found["ProcessingResources"]["ClusterConfig"]
    assert (cluster["InstanceType"], cluster["VolumeSizeInGB"]) == (
        section["instance_type"],
        section["volume_gib"],
    )
    arguments = found["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--top-n") + 1] == str(section["top_n"])
    assert arguments[arguments.index("--output") + 1] == recorded("prod").exports["batch_recommendations_uri"]
    assert "NetworkConfig" not in found


def test_role_writes_recommendations_only() -> None:
    policy = json.loads(recorded("prod").one(POLICY, "batch-role-policy").inputs["policy"])
    (write,) = [each for each in policy["Statement"] if "s3:PutObject" in each["Action"]]
    assert [arn.partition("/")[2] for arn in write["Resource"]] == ["recommendations/*"]


def test_job_with_a_feature_store_runs_in_its_network_and_reaches_nothing_else(with_store: Recording) -> None:
    found = request(with_store)
    assert found is not None
    assert request_errors("sagemaker", "CreateProcessingJob", {**ROLLOUT, **found}) == ""
    arguments = found["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--feature-store-secret") + 1] == STORE["secret_arn"]
    network = found["NetworkConfig"]["VpcConfig"]
    assert (len(network["SecurityGroupIds"]), len(network["Subnets"])) == (1, 2)
    rules = [each.inputs for each in with_store.of(EGRESS) if each.name.startswith("batch-job-")]
    assert {rule["securityGroupId"] for rule in rules} == set(network["SecurityGroupIds"])
    targets = {(rule.get("cidrIpv4", ""), rule["fromPort"], rule["toPort"]) for rule in rules}
    assert targets == {("", 443, 443), ("10.9.0.0/24", 27017, 27017)}
    assert {"secretsmanager:GetSecretValue", "ec2:CreateNetworkInterface"} <= actions(
        with_store, "batch-role"
    )


def test_job_that_was_stopped_is_notified_and_not_started_again() -> None:
    patterns = {
        rule.name: json.loads(rule.inputs["eventPattern"])["detail"]["ProcessingJobStatus"]
        for rule in recorded("prod").of("aws:cloudwatch/eventRule:EventRule")
        if rule.name.startswith("batch-")
    }
    # SageMaker stops a job after its longest time; its event is that of a job that a person stopped.
    assert patterns == {"batch-failed": ["Failed", "Stopped"], "batch-job-failed": ["Failed"]}
