"""Requests with a role's credentials: S3 and KMS, tags, passed roles, resource policies, error messages."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from tests.emulator.authorization.conftest import RoleClient, allow
from tests.emulator.support import document, make_bucket, make_role

DATA, OBJECTS = "arn:aws:s3:::data", "arn:aws:s3:::data/*"


def refusal(call: Any, **arguments: Any) -> dict[str, Any]:
    """Error and HTTP status of a refused call."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    response = refused.value.response
    return {**response["Error"], "Status": response["ResponseMetadata"]["HTTPStatusCode"]}


def test_refusal_names_caller_action_and_resource(role_client: RoleClient, role_name: str) -> None:
    s3 = role_client("s3", allow("s3:PutObject", OBJECTS))
    error = refusal(s3.get_object, Bucket="data", Key="in/a")
    assert error["Status"] == 403
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == (
        f"User: arn:aws:sts::123456789012:assumed-role/{role_name}/test is not authorized to perform: "
        "s3:GetObject on resource: arn:aws:s3:::data/in/a because no identity-based policy allows the "
        "s3:GetObject action"
    )


def test_json_service_answers_access_denied_exception(role_client: RoleClient) -> None:
    logs = role_client("logs")
    error = refusal(logs.describe_log_streams, logGroupName="/g")
    assert (error["Code"], error["Status"]) == ("AccessDeniedException", 400)
    group = "arn:aws:logs:ap-northeast-2:123456789012:log-group:/g:log-stream:"
    assert f"logs:DescribeLogStreams on resource: {group} because" in error["Message"]


def test_policy_change_applies_to_the_next_request(
    emulator: Emulator, role_client: RoleClient, role_name: str
) -> None:
    s3, iam = role_client("s3", allow("s3:GetObject", OBJECTS)), emulator.client("iam")
    assert s3.get_object(Bucket="data", Key="in/a")["Body"].read() == b"a"
    iam.delete_role_policy(RoleName=role_name, PolicyName="inline")
    assert refusal(s3.get_object, Bucket="data", Key="in/a")["Code"] == "AccessDenied"


def test_other_credentials_are_the_administrator(emulator: Emulator) -> None:
    assert emulator.client("s3").get_object(Bucket="data", Key="in/a")["Body"].read() == b"a"


def test_object_version_needs_an_action_of_its_own(emulator: Emulator, role_client: RoleClient) -> None:
    s3 = role_client("s3", allow("s3:GetObject", OBJECTS))
    version = emulator.client("s3").head_object(Bucket="data", Key="in/a")["VersionId"]
    error = refusal(s3.get_object, Bucket="data", Key="in/a", VersionId=version)
    assert "s3:GetObjectVersion on resource: arn:aws:s3:::data/in/a" in error["Message"]


def test_missing_object_is_404_only_with_permission_to_list(
    emulator: Emulator, role_client: RoleClient, role_name: str
) -> None:
    s3 = role_client("s3", allow("s3:GetObject", OBJECTS))
    assert refusal(s3.get_object, Bucket="data", Key="none")["Status"] == 403
    assert refusal(s3.head_object, Bucket="data", Key="none")["Status"] == 403
    more = document(allow("s3:ListBucket", DATA))
    emulator.client("iam").put_role_policy(RoleName=role_name, PolicyName="list", PolicyDocument=more)
    assert refusal(s3.get_object, Bucket="data", Key="none")["Code"] == "NoSuchKey"
    assert refusal(s3.head_object, Bucket="data", Key="none")["Status"] == 404


def test_prefix_condition_restricts_listing(role_client: RoleClient) -> None:
    s3 = role_client("s3", allow("s3:ListBucket", DATA, StringLike={"s3:prefix": ["in*"]}))
    assert s3.list_objects_v2(Bucket="data", Prefix="in/")["KeyCount"] == 1
    assert refusal(s3.list_objects_v2, Bucket="data", Prefix="out/")["Code"] == "AccessDenied"
    assert refusal(s3.list_objects_v2, Bucket="data")["Code"] == "AccessDenied"


@pytest.fixture(scope="module")
def key_arn(emulator: Emulator) -> str:
    """Default key of the bucket ``secret``, which has one object."""
    arn = emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    make_bucket(emulator, "secret")
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn},
        "BucketKeyEnabled": True,
    }
    s3 = emulator.client("s3")
    s3.put_bucket_encryption(Bucket="secret", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket="secret", Key="a", Body=b"a")
    return str(arn)


def test_encrypted_object_needs_the_key_of_the_caller(role_client: RoleClient, key_arn: str) -> None:
    s3 = role_client("s3", allow("s3:*", "arn:aws:s3:::secret/*"))
    read = refusal(s3.get_object, Bucket="secret", Key="a")
    assert f"kms:Decrypt on resource: {key_arn}" in read["Message"]
    written = refusal(s3.put_object, Bucket="secret", Key="b", Body=b"b")
    assert f"kms:GenerateDataKey on resource: {key_arn}" in written["Message"]
    s3.head_object(Bucket="secret", Key="a")


def test_key_may_be_restricted_to_s3(role_client: RoleClient, key_arn: str) -> None:
    via = {"kms:ViaService": "s3.ap-northeast-2.amazonaws.com"}
    context = {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::secret"}  # the bucket key's
    s3 = role_client(
        "s3",
        allow("s3:*", "arn:aws:s3:::secret/*"),
        allow("kms:Decrypt", key_arn, StringEquals={**via, **context}),
        allow("kms:GenerateDataKey", key_arn, StringEquals=via),
    )
    s3.put_object(Bucket="secret", Key="b", Body=b"b")
    assert s3.get_object(Bucket="secret", Key="b")["Body"].read() == b"b"


def test_multipart_upload_to_an_encrypted_bucket_needs_decrypt(role_client: RoleClient, key_arn: str) -> None:
    s3 = role_client("s3", allow("s3:*", "arn:aws:s3:::secret/*"), allow("kms:GenerateDataKey", key_arn))
    error = refusal(s3.create_multipart_upload, Bucket="secret", Key="m")
    assert f"kms:Decrypt on resource: {key_arn}" in error["Message"]


def test_key_policy_without_the_account_disables_identity_policies(
    emulator: Emulator, role_client: RoleClient
) -> None:
    kms = emulator.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    logs_only = {
        "Effect": "Allow",
        "Principal": {"Service": "logs.amazonaws.com"},
        "Action": "kms:*",
        "Resource": "*",
    }
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=document(logs_only))
    error = refusal(role_client("kms", allow("kms:*", arn)).generate_data_key, KeyId=arn, KeySpec="AES_256")
    assert error["Message"].endswith("because no resource-based policy allows the kms:GenerateDataKey action")


def test_copy_needs_source_and_target(role_client: RoleClient) -> None:
    s3 = role_client("s3", allow("s3:PutObject", OBJECTS))
    error = refusal(s3.copy_object, Bucket="data", Key="b", CopySource={"Bucket": "data", "Key": "in/a"})
    assert "s3:GetObject on resource: arn:aws:s3:::data/in/a" in error["Message"]


def test_bucket_policy_allows_and_denies_a_role(
    emulator: Emulator, role_client: RoleClient, role_name: str
) -> None:
    s3 = role_client("s3", allow("s3:PutObject", "arn:aws:s3:::shared/*"))
    role = f"arn:aws:iam::123456789012:role/{role_name}"
    make_bucket(emulator, "shared")
    emulator.client("s3").put_object(Bucket="shared", Key="a", Body=b"a")
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": role},
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::shared/*",
        },
        {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::shared/x*"},
    ]
    emulator.client("s3").put_bucket_policy(Bucket="shared", Policy=document(*statements))
    assert s3.get_object(Bucket="shared", Key="a")["Body"].read() == b"a"
    s3.put_object(Bucket="shared", Key="b", Body=b"b")
    error = refusal(s3.put_object, Bucket="shared", Key="x1", Body=b"b")
    assert error["Message"].endswith("with an explicit deny in a resource-based policy")


def test_tls_only_bucket_policy_lets_requests_pass(emulator: Emulator, role_client: RoleClient) -> None:
    make_bucket(emulator, "tls")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::tls/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    emulator.client("s3").put_bucket_policy(Bucket="tls", Policy=document(deny))
    s3 = role_client("s3", allow(["s3:PutObject", "s3:GetObject"], "arn:aws:s3:::tls/*"))
    s3.put_object(Bucket="tls", Key="a", Body=b"a")
    assert s3.get_object(Bucket="tls", Key="a")["Body"].read() == b"a"


def test_role_is_passed_to_the_named_service_only(emulator: Emulator, role_client: RoleClient) -> None:
    job_role = make_role(emulator, "passed-job", "sagemaker.amazonaws.com")
    to_lambda = {"iam:PassedToService": "lambda.amazonaws.com"}
    sagemaker = role_client(
        "sagemaker", allow("sagemaker:*"), allow("iam:PassRole", job_role, StringEquals=to_lambda)
    )
    container = {"Image": "image", "ModelDataUrl": "s3://data/model.tar.gz"}
    error = refusal(
        sagemaker.create_model, ModelName="m", ExecutionRoleArn=job_role, PrimaryContainer=container
    )
    assert f"iam:PassRole on resource: {job_role}" in error["Message"]


def test_tags_of_a_new_resource_need_add_tags(role_client: RoleClient) -> None:
    sagemaker = role_client("sagemaker", allow("sagemaker:CreateModelPackageGroup"))
    sagemaker.create_model_package_group(ModelPackageGroupName="untagged")
    tags = [{"Key": "team", "Value": "ncf"}]
    error = refusal(sagemaker.create_model_package_group, ModelPackageGroupName="tagged", Tags=tags)
    group = "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package-group/tagged"
    assert f"sagemaker:AddTags on resource: {group}" in error["Message"]


def test_tags_of_a_resource_restrict_its_deletion(emulator: Emulator, role_client: RoleClient) -> None:
    role = make_role(emulator, "models", "sagemaker.amazonaws.com")
    for stage in ("dev", "prod"):
        emulator.client("sagemaker").create_model(
            ModelName=stage,
            ExecutionRoleArn=role,
            PrimaryContainer={"Image": "image", "ModelDataUrl": "s3://data/model.tar.gz"},
            Tags=[{"Key": "Stage", "Value": stage}],
        )
    own = {"aws:ResourceTag/Stage": "dev"}
    sagemaker = role_client("sagemaker", allow("sagemaker:DeleteModel", StringEquals=own))
    assert "sagemaker:DeleteModel on resource" in refusal(sagemaker.delete_model, ModelName="prod")["Message"]
    assert "sagemaker:DeleteModel on resource" in refusal(sagemaker.delete_model, ModelName="none")["Message"]
    sagemaker.delete_model(ModelName="dev")


def test_conditional_write_needs_to_read(role_client: RoleClient) -> None:
    s3 = role_client("s3", allow("s3:PutObject", OBJECTS))
    error = refusal(s3.put_object, Bucket="data", Key="in/a", Body=b"b", IfMatch='"etag"')
    assert "s3:GetObject on resource: arn:aws:s3:::data/in/a" in error["Message"]


def test_request_tags_and_passed_roles_of_a_cluster(emulator: Emulator, role_client: RoleClient) -> None:
    tagged = {"elasticmapreduce:RequestTag/team": "ncf"}
    emr = role_client("emr", allow("elasticmapreduce:RunJobFlow", StringEquals=tagged))
    flow = {"Name": "prepare", "Instances": {}, "ServiceRole": "service", "JobFlowRole": "absent"}
    web = [{"Key": "team", "Value": "web"}]
    assert "elasticmapreduce:RunJobFlow" in refusal(emr.run_job_flow, **flow, Tags=web)["Message"]
    ncf = [{"Key": "team", "Value": "ncf"}]
    assert "elasticmapreduce:AddTags" in refusal(emr.run_job_flow, **flow, Tags=ncf)["Message"]


def test_service_linked_role_is_created_with_the_first_cluster(role_client: RoleClient) -> None:
    emr = role_client("emr", allow("elasticmapreduce:*"))
    error = refusal(emr.run_job_flow, Name="prepare", Instances={}, ServiceRole="s", JobFlowRole="absent")
    assert (
        "iam:CreateServiceLinkedRole on resource: arn:aws:iam::123456789012:role/aws-service-role/"
        in (error["Message"])
    )


def test_endpoint_is_invoked_by_its_arn(role_client: RoleClient) -> None:
    endpoint = "arn:aws:sagemaker:ap-northeast-2:123456789012:endpoint/e"
    runtime = role_client("sagemaker-runtime", allow("sagemaker:InvokeEndpoint", endpoint))
    assert refusal(runtime.invoke_endpoint, EndpointName="e", Body=b"{}")["Code"] == "ValidationError"
    error = refusal(runtime.invoke_endpoint, EndpointName="other", Body=b"{}")
    assert "sagemaker:InvokeEndpoint on resource: arn:aws:sagemaker:" in error["Message"]


def test_caller_identity_needs_no_permission(role_client: RoleClient, role_name: str) -> None:
    identity = role_client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{role_name}/test"


def test_role_is_assumed_if_its_trust_policy_names_the_caller(
    emulator: Emulator, role_client: RoleClient, role_name: str
) -> None:
    sts = role_client("sts", allow("sts:AssumeRole"))
    trusted = {"AWS": f"arn:aws:iam::123456789012:role/{role_name}"}
    statement = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
    iam = emulator.client("iam")
    trust = document(statement)
    target = iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts.assume_role(RoleArn=target, RoleSessionName="s1")
    other = make_role(emulator, "trusts-lambda", "lambda.amazonaws.com")
    assert refusal(sts.assume_role, RoleArn=other, RoleSessionName="s1")["Code"] == "AccessDenied"


def test_uses_and_refusals_are_recorded(emulator: Emulator, role_client: RoleClient, role_name: str) -> None:
    s3 = role_client("s3", allow("s3:GetObject", OBJECTS))
    s3.get_object(Bucket="data", Key="in/a")
    refusal(s3.put_object, Bucket="data", Key="in/a", Body=b"")
    role, ledger = f"arn:aws:iam::123456789012:role/{role_name}", emulator.host.access.ledger
    uses = [(use.action, use.resource) for use in ledger.uses if use.role_arn == role]
    assert uses == [("s3:GetObject", "arn:aws:s3:::data/in/a")]
    assert [refused.use.action for refused in ledger.refusals if refused.use.role_arn == role] == [
        "s3:PutObject"
    ]
