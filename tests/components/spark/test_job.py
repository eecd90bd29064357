"""A Spark job owns all that a run needs but the cluster itself."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.iam import Allow, policy
from components.spark.cluster import Cluster, Fleet
from components.spark.job import SparkJob, SparkJobArgs
from components.spark.security import Database
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, Recording

KEY_ARN = "arn:aws:kms:ap-northeast-2:123456789012:key/key-1"
READ = Allow(actions=["s3:GetObject"], resources=["arn:aws:s3:::data/raw/*"])
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
EMR_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


def build(tmp_path: Path, **overrides: Any) -> Recording:
    (tmp_path / "prepare.py").write_text("")
    asset = pulumi.FileAsset(str(tmp_path / "prepare.py"))

    def program() -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "job_name": "ncf-dev-preparation",
            "release": "emr-7.12.0",
            "code_bucket": "artifacts",
            "code_prefix": "spark/",
            "package": asset,
            "packages": asset,
            "entry": asset,
            "arguments": [
                "--run-id",
                "__RUN_ID__",
                "--input",
                pulumi.Output.concat("s3://", "data", "/raw/"),
            ],
            "document_key": "spark/run_job_flow.json",
            "log_bucket": "logs",
            "log_prefix": "emr/",
            "kms_key_arn": KEY_ARN,
            "node_allows": [READ],
            "account_id": ACCOUNT,
            "vpc_id": "vpc-1",
            "subnet_ids": ["subnet-1", "subnet-2"],
            "s3_prefix_list_id": "pl-1",
            "endpoints_security_group_id": "sg-endpoints",
            "tags": {"Owner": "recommendation"},
            **overrides,
        }
        job = SparkJob("job", SparkJobArgs(**arguments))
        return {
            "document": job.document,
            "uri": job.document_uri,
            "launch": policy(job.permissions.grant_launch()),
            "follow": policy(job.permissions.grant_manage()),
        }

    return pulumi_engine.run(program)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return build(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="module")
def flow(done: Recording) -> dict[str, Any]:
    return json.loads(done.values["document"])


def test_the_document_is_published_as_it_is_launched(done: Recording) -> None:
    published = done.one(OBJECT, "job-run-job-flow").inputs
    assert published["content"] == done.values["document"]
    assert done.values["uri"] == "s3://artifacts/spark/run_job_flow.json"


def fleets(flow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {fleet["InstanceFleetType"]: fleet for fleet in flow["Instances"]["InstanceFleets"]}


def test_what_holds_data_or_leads_is_on_demand_and_the_rest_is_spot(flow: dict[str, Any]) -> None:
    capacities = {
        role: {key: value for key, value in fleet.items() if key.startswith("Target")}
        for role, fleet in fleets(flow).items()
    }
    assert capacities == {
        "MASTER": {"TargetOnDemandCapacity": 1},
        "CORE": {"TargetOnDemandCapacity": 8},
        "TASK": {"TargetSpotCapacity": 8},
    }
    assert fleets(flow)["TASK"]["LaunchSpecifications"]["SpotSpecification"] == {
        "AllocationStrategy": "capacity-optimized",
        "TimeoutDurationMinutes": 10,
        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
    }


def test_a_cluster_without_task_nodes_has_no_such_fleet(tmp_path: Path) -> None:
    document = json.loads(build(tmp_path, cluster=Cluster(task=Fleet())).values["document"])
    assert set(fleets(document)) == {"MASTER", "CORE"}


def test_emr_takes_whichever_private_subnet_has_the_nodes(flow: dict[str, Any]) -> None:
    assert flow["Instances"]["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]


def test_the_driver_stays_off_the_nodes_that_may_be_taken_back(flow: dict[str, Any]) -> None:
    yarn = classified(flow)["yarn-site"]
    assert yarn["yarn.node-labels.enabled"] == "true"
    assert yarn["yarn.node-labels.am.default-node-label-expression"] == "CORE"


def test_an_idle_cluster_ends_even_if_its_step_never_does(flow: dict[str, Any]) -> None:
    assert flow["AutoTerminationPolicy"] == {"IdleTimeout": 900}


def classified(flow: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {each["Classification"]: each["Properties"] for each in flow["Configurations"]}


def test_a_step_that_fails_ends_the_cluster_and_the_cluster_ends_with_its_step(flow: dict[str, Any]) -> None:
    (step,) = flow["Steps"]
    assert step["ActionOnFailure"] == "TERMINATE_CLUSTER"
    assert flow["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False


def test_the_step_submits_the_published_code_with_the_runs_arguments(flow: dict[str, Any]) -> None:
    assert flow["Steps"][0]["HadoopJarStep"]["Args"] == [
        "spark-submit",
        "--deploy-mode",
        "cluster",
        "--py-files",
        "s3://artifacts/spark/ml.zip",
        "--archives",
        "s3://artifacts/spark/packages.zip#environment",
        "--conf",
        "spark.yarn.appMasterEnv.PYTHONPATH=./environment",
        "--conf",
        "spark.executorEnv.PYTHONPATH=./environment",
        "s3://artifacts/spark/prepare.py",
        "--run-id",
        "__RUN_ID__",
        "--input",
        "s3://data/raw/",
    ]


def test_the_cluster_carries_the_tags_that_its_roles_are_bound_to(flow: dict[str, Any]) -> None:
    assert flow["Tags"] == [{"Key": "Owner", "Value": "recommendation"}, EMR_TAG]


def test_disks_logs_and_what_is_written_are_encrypted_and_metadata_needs_a_token(
    done: Recording, flow: dict[str, Any]
) -> None:
    configuration = done.one("aws:emr/securityConfiguration:SecurityConfiguration")
    assert flow["SecurityConfiguration"] == configuration.outputs["name"]
    assert flow["LogEncryptionKmsKeyId"] == KEY_ARN
    document = json.loads(configuration.inputs["configuration"])
    at_rest = document["EncryptionConfiguration"]["AtRestEncryptionConfiguration"]
    assert at_rest["S3EncryptionConfiguration"] == {"EncryptionMode": "SSE-KMS", "AwsKmsKey": KEY_ARN}
    assert at_rest["LocalDiskEncryptionConfiguration"]["EnableEbsEncryption"] is True
    assert document["InstanceMetadataServiceConfiguration"] == {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 1,
    }


def test_traffic_is_encrypted_by_spark_and_by_emr_where_there_are_certificates(
    flow: dict[str, Any], tmp_path: Path
) -> None:
    defaults, yarn = (classified(flow)[name] for name in ("spark-defaults", "yarn-site"))
    # The shuffle service on each node is the other end of the executors' connections.
    for side in (defaults, yarn):
        assert side["spark.authenticate"] == side["spark.network.crypto.enabled"] == "true"
    assert defaults["spark.io.encryption.enabled"] == "true"
    done = build(tmp_path, certificates_uri="s3://security/certificates.zip")
    configuration = done.one("aws:emr/securityConfiguration:SecurityConfiguration").inputs["configuration"]
    encryption = json.loads(configuration)["EncryptionConfiguration"]
    assert encryption["EnableInTransitEncryption"] is True
    assert encryption["InTransitEncryptionConfiguration"]["TLSCertificateConfiguration"] == {
        "CertificateProviderType": "PEM",
        "S3Object": "s3://security/certificates.zip",
    }
    nodes = json.loads(done.one("aws:iam/rolePolicy:RolePolicy", "job-nodes-policy").inputs["policy"])
    assert {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::security/certificates.zip"],
    } in nodes["Statement"]


def test_security_groups_can_be_deleted_whatever_emr_adds_to_them(done: Recording) -> None:
    groups = done.of("aws:ec2/securityGroup:SecurityGroup")
    assert len(groups) == 3
    assert all(group.inputs["revokeRulesOnDelete"] for group in groups)
    assert all(group.inputs["tags"][EMR_TAG["Key"]] == "true" for group in groups)


def test_every_flow_into_a_node_is_a_flow_out_of_its_source(done: Recording) -> None:
    def flows(kind: str, inward: bool) -> set[tuple[Any, ...]]:
        found = set()
        for rule in (each.inputs for each in done.of(kind)):
            here, there = rule["securityGroupId"], rule.get("referencedSecurityGroupId")
            ends = (there, here) if inward else (here, there)
            found.add((*ends, rule["ipProtocol"], rule.get("fromPort")))
        return found

    into, out_of = flows(INGRESS, inward=True), flows(EGRESS, inward=False)
    assert into <= out_of
    # What goes out besides goes to the services' endpoints and to S3.
    assert {(target, port) for _, target, _, port in out_of - into} == {("sg-endpoints", 443), (None, 443)}


def test_no_address_outside_is_let_in_or_out(done: Recording) -> None:
    assert not [rule for kind in (INGRESS, EGRESS) for rule in done.of(kind) if "cidrIpv4" in rule.inputs]


def test_a_database_is_reached_from_where_spark_runs_and_nothing_beside_it(tmp_path: Path) -> None:
    database = Database(cidr_blocks=["10.9.0.0/24", "10.9.1.0/24"], port=27017)
    done = build(tmp_path, database=database)
    rules = [
        tuple(rule[key] for key in ("securityGroupId", "cidrIpv4", "ipProtocol", "fromPort", "toPort"))
        for rule in (each.inputs for each in done.of(EGRESS))
        if "cidrIpv4" in rule
    ]
    assert rules == [
        ("job-cluster-core-id", "10.9.0.0/24", "tcp", 27017, 27017),
        ("job-cluster-core-id", "10.9.1.0/24", "tcp", 27017, 27017),
    ]
    assert not [rule for rule in done.of(INGRESS) if "cidrIpv4" in rule.inputs]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (["0.0.0.0/0"], "0.0.0.0/0 matches all addresses"),
        ([], "name at least one network"),
        (["10.0.0.1/8"], "cidr_blocks: 10.0.0.1/8 has host bits set"),
        (["mongo.internal"], "cidr_blocks: .*'mongo.internal'; write a network, as '10.9.0.0/24'"),
    ],
)
def test_a_database_that_is_nowhere_or_everywhere_is_refused(blocks: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Database(cidr_blocks=blocks, port=27017)


def test_launching_is_granted_with_the_roles_that_it_hands_over_and_no_others(done: Recording) -> None:
    run, tag, policies, cleanup, service, nodes = json.loads(done.values["launch"])["Statement"]
    assert (run["Action"], run["Resource"]) == (["elasticmapreduce:RunJobFlow"], ["*"])
    assert tag["Action"] == ["elasticmapreduce:AddTags"]
    assert tag["Resource"] == [f"arn:aws:elasticmapreduce:*:{ACCOUNT}:cluster/*"]
    # A cluster without the job's tags could be launched, but neither followed nor ended.
    assert (
        run["Condition"]
        == tag["Condition"]
        == {
            "StringEquals": {
                "elasticmapreduce:RequestTag/Owner": "recommendation",
                f"elasticmapreduce:RequestTag/{EMR_TAG['Key']}": "true",
            }
        }
    )
    assert policies["Action"] == [
        "elasticmapreduce:PutAutoTerminationPolicy",
        "elasticmapreduce:PutManagedScalingPolicy",
    ]
    assert policies["Resource"] == [f"arn:aws:elasticmapreduce:*:{ACCOUNT}:cluster/*"]
    assert cleanup["Action"] == ["iam:CreateServiceLinkedRole"]
    assert cleanup["Condition"] == {"StringEquals": {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"}}
    by_name = {role.name: role.outputs["arn"] for role in done.of("aws:iam/role:Role")}
    assert service["Resource"] == [by_name["job-service"]]
    assert nodes["Resource"] == [by_name["job-nodes"]]


def test_following_is_granted_on_clusters_of_this_job_and_listing_on_all(done: Recording) -> None:
    listing, following = json.loads(done.values["follow"])["Statement"]
    assert (listing["Action"], listing["Resource"]) == (["elasticmapreduce:ListClusters"], ["*"])
    assert following["Condition"]["StringEquals"] == {
        "elasticmapreduce:ResourceTag/Owner": "recommendation",
        f"elasticmapreduce:ResourceTag/{EMR_TAG['Key']}": "true",
    }


def test_emr_may_have_ec2_make_its_role_for_spot_nodes(done: Recording) -> None:
    policy = json.loads(done.one("aws:iam/rolePolicy:RolePolicy", "job-service-policy").inputs["policy"])
    services = [
        statement["Condition"]["StringEquals"]["iam:AWSServiceName"]
        for statement in policy["Statement"]
        if statement["Action"] == ["iam:CreateServiceLinkedRole"]
    ]
    assert services == ["spot.amazonaws.com"]
