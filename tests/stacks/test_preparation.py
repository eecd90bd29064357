"""Optional parts of the preparation slice: feature store and Airflow role."""

from __future__ import annotations

import ast
import copy
import json
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from components.iam import policy
from stacks.preparation import preparation_nodes_role
from stacks.sections import StorageConfig
from stacks.spark_sections import FeatureStoreConfig
from stacks.storage import Storage, StorageArgs
from tests import pulumi_engine
from tests.pulumi_engine import Recording
from tests.repository import ROOT
from tests.stacks.program import STORE, recorded, run_program, stage_file

DOCUMENT = ("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
POLICY, ENDPOINT = "aws:iam/rolePolicy:RolePolicy", "aws:ec2/vpcEndpoint:VpcEndpoint"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
SECRET_KEY = "arn:aws:kms:ap-northeast-2:123456789012:key/of-the-secret"
# API operations that the Airflow provider's hooks and operators call.
OPERATOR_CALLS = {
    "LaunchJobFlowOnceOperator": {"run_job_flow", "describe_cluster"},  # the latter for the link to the logs
    "JobFlowSensor": {"describe_cluster"},
    "EmrTerminateJobFlowOperator": {"terminate_job_flows"},
    "read_key": {"get_object"},
    "check_for_key": {"head_object"},
    "publish_to_target": {"publish"},
    "SnsNotifier": {"publish"},
}
NEEDS = {"head_object": "s3:GetObject", "list_objects_v2": "s3:ListBucket"}


@pytest.fixture(scope="module")
def with_store() -> Recording:
    config = copy.deepcopy(stage_file("dev"))
    config["ncf:feature_store"] = {**STORE, "kms_key_arn": SECRET_KEY}
    return run_program("dev", config)


def arguments(done: Recording) -> list[str]:
    flow = json.loads(done.one(*DOCUMENT).inputs["content"])
    return flow["Steps"][0]["HadoopJarStep"]["Args"]


def statements(done: Recording, role: str) -> list[dict[str, Any]]:
    return json.loads(done.one(POLICY, f"{role}-policy").inputs["policy"])["Statement"]


def secret_statements(done: Recording) -> list[dict[str, Any]]:
    return [
        each
        for each in statements(done, "preparation-nodes")
        if each["Action"] == ["secretsmanager:GetSecretValue"] or each["Action"] == ["kms:Decrypt"]
    ]


def endpoint_services(done: Recording) -> set[str]:
    endpoints = [each.inputs for each in done.of(ENDPOINT) if each.inputs["vpcEndpointType"] == "Interface"]
    return {each["serviceName"].rpartition(".")[2] for each in endpoints}


def test_stage_without_feature_store_has_no_permission_flag_or_egress_rule_for_it() -> None:
    done = recorded("dev")
    assert secret_statements(done) == []
    assert not [each for each in arguments(done) if each.startswith("--feature-store")]
    assert endpoint_services(done) == {"kms"}
    assert not [rule for rule in done.of(EGRESS) if "cidrIpv4" in rule.inputs]


def test_nodes_read_one_secret_and_use_its_key_for_that_secret_only(with_store: Recording) -> None:
    assert secret_statements(with_store) == [
        {
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [STORE["secret_arn"]],
        },
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [SECRET_KEY],
            "Condition": {
                "StringEquals": {
                    "kms:ViaService": "secretsmanager.ap-northeast-2.amazonaws.com",
                    "kms:EncryptionContext:SecretARN": STORE["secret_arn"],
                }
            },
        },
    ]


def test_secret_with_the_aws_managed_key_needs_no_key_permission() -> None:
    retention = StorageConfig.model_validate(stage_file("dev")["ncf:storage"])
    store = FeatureStoreConfig.model_validate({**STORE, "cidr_blocks": tuple(STORE["cidr_blocks"])})

    def program() -> Any:
        storage = Storage("storage", StorageArgs(stage_name="dev", config=retention, protect=False))
        return policy(preparation_nodes_role(storage, store))

    granted = json.loads(pulumi_engine.run(program).values)["Statement"]
    assert [each for each in granted if each["Action"] == ["kms:Decrypt"]] == []
    (secret,) = [each for each in granted if each["Action"] == ["secretsmanager:GetSecretValue"]]
    assert secret["Resource"] == [STORE["secret_arn"]]


def test_secret_and_database_are_flags_of_the_job(with_store: Recording) -> None:
    flags = arguments(with_store)
    assert flags[flags.index("--feature-store-secret") + 1] == STORE["secret_arn"]
    assert flags[flags.index("--feature-store-database") + 1] == "ncf"


def test_nodes_reach_secrets_manager_and_the_database(with_store: Recording) -> None:
    assert endpoint_services(with_store) == {"kms", "secretsmanager"}
    rules = [rule.inputs for rule in with_store.of(EGRESS) if "cidrIpv4" in rule.inputs]
    assert [(rule["cidrIpv4"], rule["fromPort"], rule["toPort"]) for rule in rules] == [
        ("10.9.0.0/24", 27017, 27017)
    ]


def test_stage_without_airflow_has_no_airflow_role() -> None:
    assert "airflow" not in {role.name for role in recorded("dev").of("aws:iam/role:Role")}
    assert "airflow_role_arn" not in recorded("dev").exports


def test_airflow_role_trusts_the_configured_principal_only() -> None:
    done = recorded("prod")
    role = done.one("aws:iam/role:Role", "airflow")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"AWS": stage_file("prod")["ncf:spark"]["airflow_principal_arn"]}
    assert trust["Action"] == "sts:AssumeRole"
    assert done.exports["airflow_role_arn"] == role.outputs["arn"]


def dag_calls() -> set[str]:
    """IAM actions of the API operations that the DAG calls: through clients, operators and hooks."""
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "dags").rglob("*.py")]
    nodes = [node for source in sources for node in ast.walk(source)]
    words = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    words |= {node.id for node in nodes if isinstance(node, ast.Name)}
    words |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words |= set().union(*(calls for name, calls in OPERATOR_CALLS.items() if name in words))
    found = set()
    for service, prefix in (("emr", "elasticmapreduce"), ("s3", "s3"), ("sns", "sns")):
        model = botocore.session.get_session().get_service_model(service)
        for operation in model.operation_names:
            method = xform_name(operation)
            if method in words:
                found.add(NEEDS.get(method, f"{prefix}:{operation}"))
    return found


def test_airflow_role_permits_every_call_of_the_dag() -> None:
    called = dag_calls()
    assert {
        "elasticmapreduce:ListClusters",
        "elasticmapreduce:ListSteps",
        "elasticmapreduce:RunJobFlow",
        "elasticmapreduce:TerminateJobFlows",
        "s3:ListBucket",
        "sns:Publish",
    } <= called
    granted = {action for each in statements(recorded("prod"), "airflow") for action in each["Action"]}
    assert called <= granted


def test_airflow_role_reads_document_logs_and_runs_and_writes_nothing() -> None:
    done = recorded("prod")
    granted = {
        (action, arn.removeprefix("arn:aws:s3:::"))
        for each in statements(done, "airflow")
        for action in each["Action"]
        for arn in each["Resource"]
        if action.startswith("s3:")
    }
    assert {where for action, where in granted if action == "s3:GetObject"} == {
        "artifacts-1a2b3c/spark/run_job_flow.json",
        "data-1a2b3c/prepared/*",
        "logs-1a2b3c/emr/*",
    }
    assert {action for action, _ in granted} == {"s3:GetObject", "s3:ListBucket"}


def test_airflow_role_terminates_clusters_of_its_stage_only() -> None:
    (following,) = [
        each
        for each in statements(recorded("prod"), "airflow")
        if "elasticmapreduce:TerminateJobFlows" in each["Action"]
    ]
    required = following["Condition"]["StringEquals"]
    assert required["elasticmapreduce:ResourceTag/Stage"] == "prod"
    flow = json.loads(recorded("prod").one(*DOCUMENT).inputs["content"])
    cluster_tags = {f"elasticmapreduce:ResourceTag/{tag['Key']}": tag["Value"] for tag in flow["Tags"]}
    assert required.items() <= cluster_tags.items()
