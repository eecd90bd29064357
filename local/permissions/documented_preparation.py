"""Documented uses of the preparation: EMR's instances and service role, and Airflow."""

from __future__ import annotations

from local.permissions.documented_use import FOR_AWS_RESOURCE, HERE, KEY, STAGE, Documented

PREPARATION = (
    Documented(
        roles=["preparation-nodes"],
        actions=["kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
        resources=[KEY],
        reason="The security configuration encrypts local disks and EMRFS with the key (EMR management "
        "guide, Create keys and certificates for data encryption).",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
        resources=["arn:aws:s3:::<data>/prepared/p", "arn:aws:s3:::<data>/scratch/s"],
        reason="EMRFS uploads files in parts and aborts those of failed tasks (EMR release guide, EMRFS "
        "S3-optimized committer); the emulator stores whole objects.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:GetObject"],
        resources=["arn:aws:s3:::<data>/prepared/p", "arn:aws:s3:::<data>/scratch/s"],
        reason="A run extends the id maps of the previous one, and EMRFS renames a file by a copy; the "
        "recorded run is the first, and the emulator's files are local.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:DeleteObject"],
        resources=["arn:aws:s3:::<data>/prepared/p"],
        reason="EMRFS renames a file by a copy and a deletion, and an aborted job deletes its files.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:ListBucketMultipartUploads"],
        resources=["arn:aws:s3:::<data>"],
        reason="The committer lists the uploads of its job to abort unfinished ones.",
    ),
    Documented(
        roles=["preparation-nodes"],
        actions=["s3:ListBucket"],
        resources=["arn:aws:s3:::<artifacts>"],
        context={"s3:prefix": "spark/ml.zip"},
        reason="EMRFS lists a path when it looks for a file; the emulator downloads the code by its keys.",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["iam:PassRole"],
        resources=["arn:aws:iam::<account>:role/<preparation-nodes>"],
        context={"iam:PassedToService": "ec2.amazonaws.com"},
        reason="EMR passes the role of the instance profile to EC2; AmazonEMRServicePolicy_v2 allows this "
        "for the default role only (EMR management guide, Service role for Amazon EMR).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=[
            *("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
            *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
        ],
        resources=[KEY],
        reason="EMR creates encrypted EBS volumes (EMR management guide, Encryption options; EBS user guide, "
        "Permissions to use a KMS key).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["kms:CreateGrant"],
        resources=[KEY],
        context=FOR_AWS_RESOURCE,
        reason="EC2 attaches encrypted volumes with a grant (EBS user guide, Permissions to use a KMS key).",
    ),
    Documented(
        roles=["preparation-service"],
        actions=["iam:CreateServiceLinkedRole"],
        resources=[
            "arn:aws:iam::<account>:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
        ],
        context={"iam:AWSServiceName": "spot.amazonaws.com"},
        reason="EC2 creates the role with an account's first spot instance (EC2 user guide).",
    ),
    Documented(
        roles=["airflow"],
        actions=["elasticmapreduce:ListClusters"],
        resources=["*"],
        reason="The DAG looks for a running cluster before it launches one (dags/ncf_preparation/emr.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["elasticmapreduce:DescribeCluster", "elasticmapreduce:TerminateJobFlows"],
        resources=[f"arn:aws:elasticmapreduce:{HERE}:cluster/<cluster>"],
        context={
            f"elasticmapreduce:ResourceTag/{key}": value
            for key, value in {
                "Owner": "recommendation",
                "Service": "ncf",
                "Stage": STAGE,
                "for-use-with-amazon-emr-managed-policies": "true",
            }.items()
        },
        reason="The DAG follows the cluster and terminates it after a timeout (dags/ncf_preparation/emr.py; "
        "its tests run with this role).",
    ),
    Documented(
        roles=["airflow"],
        actions=["s3:GetObject"],
        resources=["arn:aws:s3:::<logs>/emr/stderr.gz"],
        reason="The DAG reads the error from the driver's log (dags/ncf_preparation/emr.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["s3:ListBucket"],
        resources=[f"arn:aws:s3:::<{bucket}>" for bucket in ("artifacts", "data", "logs")],
        reason="A missing document, run or log is 404 with this permission and 403 without "
        "(dags/prepare_interactions.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["sns:Publish"],
        resources=[f"arn:aws:sns:{HERE}:<alarms>"],
        reason="The DAG reports failures (dags/ncf_preparation/alerts.py).",
    ),
    Documented(
        roles=["airflow"],
        actions=["kms:GenerateDataKey"],
        resources=[KEY],
        reason="SNS encrypts the DAG's messages with the publisher's permissions (SNS developer guide, Key "
        "management).",
    ),
)
