"""What the preparation of a stage gets when its fields say so, and not otherwise."""

from __future__ import annotations

import ast
import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from ml.settings.preparation import StageJob
from stacks.spark_packages import SparkPackagesError, spark_packages
from tests.pulumi_engine import Recording
from tests.repository import ROOT
from tests.stacks.program import STORE, recorded, run_program, stage_file

DOCUMENT = ("aws:s3/bucketObjectv2:BucketObjectv2", "preparation-run-job-flow")
POLICY, ENDPOINT = "aws:iam/rolePolicy:RolePolicy", "aws:ec2/vpcEndpoint:VpcEndpoint"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
SECRET_KEY = "arn:aws:kms:ap-northeast-2:123456789012:key/of-the-secret"
# The services' own names for what the provider's hooks and operators of the DAG call.
OPERATOR_CALLS = {
    "LaunchJobFlowOnceOperator": {"run_job_flow", "describe_cluster"},  # the latter for its link to the logs
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


def of_secrets(done: Recording) -> list[dict[str, Any]]:
    return [
        each
        for each in statements(done, "preparation-nodes")
        if each["Action"] == ["secretsmanager:GetSecretValue"] or each["Action"] == ["kms:Decrypt"]
    ]


def reached(done: Recording) -> set[str]:
    endpoints = [each.inputs for each in done.of(ENDPOINT) if each.inputs["vpcEndpointType"] == "Interface"]
    return {each["serviceName"].rpartition(".")[2] for each in endpoints}


# -- the feature store -----------------------------------------------------------------------------
def test_without_a_feature_store_there_is_no_grant_no_flag_and_no_way_out() -> None:
    done = recorded("dev")
    assert of_secrets(done) == []
    assert not [each for each in arguments(done) if each.startswith("--feature-store")]
    assert reached(done) == {"elasticmapreduce", "kms"}
    assert not [rule for rule in done.of(EGRESS) if "cidrIpv4" in rule.inputs]


def test_the_nodes_open_exactly_the_one_secret_and_its_key_for_that_alone(with_store: Recording) -> None:
    assert of_secrets(with_store) == [
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


def test_a_secret_under_secrets_managers_own_key_needs_no_key() -> None:
    config = copy.deepcopy(stage_file("dev"))
    config["ncf:feature_store"] = STORE
    (grant,) = of_secrets(run_program("dev", config))
    assert grant["Action"] == ["secretsmanager:GetSecretValue"]


def test_the_job_is_told_of_the_secret_and_the_database(with_store: Recording) -> None:
    told = arguments(with_store)
    assert told[told.index("--feature-store-secret") + 1] == STORE["secret_arn"]
    assert told[told.index("--feature-store-database") + 1] == "ncf"


def test_the_nodes_reach_the_secrets_and_the_database(with_store: Recording) -> None:
    assert reached(with_store) == {"elasticmapreduce", "kms", "secretsmanager"}
    ways = [rule.inputs for rule in with_store.of(EGRESS) if "cidrIpv4" in rule.inputs]
    assert [(way["cidrIpv4"], way["fromPort"], way["toPort"]) for way in ways] == [
        ("10.9.0.0/24", 27017, 27017)
    ]


# -- the job ---------------------------------------------------------------------------------------
def job(**changes: Any) -> StageJob:
    return StageJob.read({**stage_file("dev")["ncf:spark"]["job"], **changes})


def test_setting_left_to_the_job_is_no_flag() -> None:
    assert job(max_quarantined_share=None).arguments() == ["--min-interactions", "5"]


def test_time_cut_accepts_users_with_fewer_interactions() -> None:
    cut = job(min_interactions=1, time_cut={"test_days": 1, "validation_days": 1})
    assert cut.arguments()[:2] == ["--min-interactions", "1"]


def test_each_setting_is_passed_as_its_flag() -> None:
    assert job(
        look_back_days=90,
        user_column="member",
        item_column="sku",
        time_column="at",
        event_column="event",
        event_weights={"view": 1.0, "purchase": 10.125001, "cart": 2.5},
        min_weight=0.5,
        min_item_interactions=3,
        time_cut={"test_days": 7, "validation_days": 14},
    ).arguments() == [
        *("--look-back-days", "90"),
        *("--user-column", "member"),
        *("--item-column", "sku"),
        *("--time-column", "at"),
        *("--event-column", "event"),
        *("--event-weight", "cart=2.5"),
        *("--event-weight", "purchase=10.125001"),
        *("--event-weight", "view=1.0"),
        *("--min-interactions", "5"),
        *("--min-item-interactions", "3"),
        *("--min-weight", "0.5"),
        *("--split", "time-cut"),
        *("--test-days", "7"),
        *("--validation-days", "14"),
        *("--max-quarantined-share", "0.05"),
    ]


# -- Airflow ---------------------------------------------------------------------------------------
def test_only_a_stage_that_airflow_schedules_has_a_role_for_it() -> None:
    assert "airflow" not in {role.name for role in recorded("dev").of("aws:iam/role:Role")}
    assert "airflow_role_arn" not in recorded("dev").exports


def test_the_role_trusts_the_principal_of_the_stage_and_nobody_else() -> None:
    done = recorded("prod")
    role = done.one("aws:iam/role:Role", "airflow")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"AWS": stage_file("prod")["ncf:spark"]["airflow_principal_arn"]}
    assert trust["Action"] == "sts:AssumeRole"
    assert done.exports["airflow_role_arn"] == role.outputs["arn"]


def dag_calls() -> set[str]:
    """The IAM actions of what the DAG calls: by the clients' own methods, and by operators and hooks."""
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


def test_the_role_may_make_every_call_that_the_dag_makes() -> None:
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


def test_the_role_reads_the_document_the_logs_and_the_runs_and_writes_nothing() -> None:
    done = recorded("prod")
    granted = {
        (action, arn.removeprefix("arn:aws:s3:::"))
        for each in statements(done, "airflow")
        for action in each["Action"]
        for arn in each["Resource"]
        if action.startswith("s3:")
    }
    assert {where for action, where in granted if action == "s3:GetObject"} == {
        "artifacts-1a2b3c/spark/run_job_flow.json*",
        "data-1a2b3c/prepared/*",
        "logs-1a2b3c/emr/*",
    }
    assert {action for action, _ in granted} == {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}


def test_the_role_ends_clusters_of_this_stage_and_no_others() -> None:
    (following,) = [
        each
        for each in statements(recorded("prod"), "airflow")
        if "elasticmapreduce:TerminateJobFlows" in each["Action"]
    ]
    asked = following["Condition"]["StringEquals"]
    assert asked["elasticmapreduce:ResourceTag/Stage"] == "prod"
    flow = json.loads(recorded("prod").one(*DOCUMENT).inputs["content"])
    carried = {f"elasticmapreduce:ResourceTag/{tag['Key']}": tag["Value"] for tag in flow["Tags"]}
    assert asked.items() <= carried.items()


# -- packages --------------------------------------------------------------------------------------
@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "spark.lock"
    path.write_text("pymongo==4.18.3\n")
    return path


def archive_of(path: Path, lock: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("spark.lock", lock)
    return path


def test_packages_of_the_lock_are_taken(tmp_path: Path, lock: Path) -> None:
    archive = archive_of(tmp_path / "packages.zip", lock.read_text())
    assert spark_packages(archive, lock).path == str(archive)


@pytest.mark.parametrize(
    "what", ["is missing", "is not an archive of packages", "was built from another spark.lock"]
)
def test_packages_that_are_not_of_the_lock_are_refused_with_what_to_run(
    tmp_path: Path, lock: Path, what: str
) -> None:
    archive = tmp_path / "packages.zip"
    if what == "is not an archive of packages":
        archive.write_bytes(b"")
    elif what == "was built from another spark.lock":
        archive_of(archive, "pymongo==3.0\n")
    with pytest.raises(SparkPackagesError) as caught:
        spark_packages(archive, lock)
    assert str(caught.value) == f"{archive} {what}: run `python -m ci.spark_packages`"
