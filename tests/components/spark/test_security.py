"""Security of a Spark cluster: encryption, security groups and access to a database."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.spark.security import Database
from tests.components.spark.conftest import EMR_TAG, KEY_ARN, build, classified
from tests.pulumi_engine import Recording

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


def test_disks_logs_and_objects_are_encrypted_and_imdsv2_is_required(
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


def test_traffic_is_encrypted_by_spark_and_with_certificates_by_emr(
    flow: dict[str, Any], tmp_path: Path
) -> None:
    defaults, yarn = (classified(flow)[name] for name in ("spark-defaults", "yarn-site"))
    # Executors connect to the shuffle service of each node, which yarn-site configures.
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


def test_security_groups_can_be_deleted_with_the_rules_of_emr(done: Recording) -> None:
    groups = done.of("aws:ec2/securityGroup:SecurityGroup")
    assert len(groups) == 3
    assert all(group.inputs["revokeRulesOnDelete"] for group in groups)
    assert all(group.inputs["tags"][EMR_TAG["Key"]] == "true" for group in groups)


def test_every_ingress_rule_has_an_egress_rule_of_its_source(done: Recording) -> None:
    def flows(kind: str, inward: bool) -> set[tuple[Any, ...]]:
        found = set()
        for rule in (each.inputs for each in done.of(kind)):
            here, there = rule["securityGroupId"], rule.get("referencedSecurityGroupId")
            ends = (there, here) if inward else (here, there)
            found.add((*ends, rule["ipProtocol"], rule.get("fromPort")))
        return found

    into, out_of = flows(INGRESS, inward=True), flows(EGRESS, inward=False)
    assert into <= out_of
    # The other egress rules lead to the VPC endpoints and to S3.
    assert {(target, port) for _, target, _, port in out_of - into} == {("sg-endpoints", 443), (None, 443)}


def test_no_rule_names_addresses(done: Recording) -> None:
    assert not [rule for kind in (INGRESS, EGRESS) for rule in done.of(kind) if "cidrIpv4" in rule.inputs]


def test_database_is_reached_from_core_nodes_only(tmp_path: Path) -> None:
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
        (["mongo.internal"], "cidr_blocks: .*'mongo.internal'; write a network, such as '10.9.0.0/24'"),
    ],
)
def test_invalid_network_of_a_database_is_refused(blocks: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Database(cidr_blocks=blocks, port=27017)
