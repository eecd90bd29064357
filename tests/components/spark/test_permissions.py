"""Permissions to launch and manage the clusters of a Spark job."""

import json

from tests.components.spark.conftest import EMR_TAG
from tests.pulumi_engine import ACCOUNT, Recording


def test_launch_permission_passes_the_jobs_roles_only(done: Recording) -> None:
    run, tag, policies, cleanup, service, nodes = json.loads(done.values["launch"])["Statement"]
    assert (run["Action"], run["Resource"]) == (["elasticmapreduce:RunJobFlow"], ["*"])
    assert tag["Action"] == ["elasticmapreduce:AddTags"]
    assert tag["Resource"] == [f"arn:aws:elasticmapreduce:*:{ACCOUNT}:cluster/*"]
    # Without the tags, the job's permissions would not apply to the launched cluster.
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
    # Not on clusters of another job or stage.
    assert policies["Condition"] == {
        "StringEqualsIfExists": {
            "elasticmapreduce:ResourceTag/Owner": "recommendation",
            f"elasticmapreduce:ResourceTag/{EMR_TAG['Key']}": "true",
        }
    }
    assert cleanup["Action"] == ["iam:CreateServiceLinkedRole"]
    assert cleanup["Condition"] == {"StringEquals": {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"}}
    by_name = {role.name: role.outputs["arn"] for role in done.of("aws:iam/role:Role")}
    assert service["Resource"] == [by_name["job-service"]]
    assert nodes["Resource"] == [by_name["job-nodes"]]


def test_manage_permission_is_restricted_to_clusters_of_the_job(done: Recording) -> None:
    listing, managing = json.loads(done.values["manage"])["Statement"]
    assert (listing["Action"], listing["Resource"]) == (["elasticmapreduce:ListClusters"], ["*"])
    assert managing["Condition"]["StringEquals"] == {
        "elasticmapreduce:ResourceTag/Owner": "recommendation",
        f"elasticmapreduce:ResourceTag/{EMR_TAG['Key']}": "true",
    }


def test_emr_service_role_may_create_the_role_for_spot_instances(done: Recording) -> None:
    policy = json.loads(done.one("aws:iam/rolePolicy:RolePolicy", "job-service-policy").inputs["policy"])
    services = [
        statement["Condition"]["StringEquals"]["iam:AWSServiceName"]
        for statement in policy["Statement"]
        if statement["Action"] == ["iam:CreateServiceLinkedRole"]
    ]
    assert services == ["spot.amazonaws.com"]
