"""Model registry: versions, approvals, tags and duplicate names."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.services.sagemaker.conftest import Event
from tests.emulator.services.sagemaker.support import ROLE

STATE_CHANGE = "SageMaker Model Package State Change"


@pytest.fixture
def group(sagemaker: Any, name: str) -> str:
    """Name of a new model package group."""
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


def register(sagemaker: Any, group: str, **changes: Any) -> str:
    """Create a model package and return its ARN."""
    specification = {
        "Containers": [{"Image": "image", "ModelDataUrl": "s3://b/model.tar.gz"}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    request = {"ModelPackageGroupName": group, "InferenceSpecification": specification, **changes}
    return str(sagemaker.create_model_package(**request)["ModelPackageArn"])


def test_versions_are_numbered_and_the_newest_approved_one_is_listed_first(
    sagemaker: Any, group: str
) -> None:
    arns = [
        register(sagemaker, group, ModelApprovalStatus=status)
        for status in ("Approved", "Approved", "PendingManualApproval")
    ]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2", "3"]
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]
    assert [(item["ModelPackageArn"], item["ModelPackageVersion"]) for item in newest] == [(arns[1], 2)]


def test_model_package_is_described_as_created(sagemaker: Any, group: str) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/e.json"}}}
    properties = {"run_id": "20261123T020000Z"}
    arn = register(
        sagemaker,
        group,
        ModelMetrics=metrics,
        CustomerMetadataProperties=properties,
        SkipModelValidation="All",
        ModelPackageDescription="first",
    )
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelMetrics"] == metrics
    assert package["CustomerMetadataProperties"] == properties
    assert package["SkipModelValidation"] == "All"
    assert (package["ModelPackageDescription"], package["ModelPackageStatus"]) == ("first", "Completed")


def test_update_changes_the_given_fields_only(sagemaker: Any, group: str) -> None:
    arn = register(sagemaker, group, ModelApprovalStatus="Approved", CustomerMetadataProperties={"a": "1"})
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"b": "2", "c": "3"})
    sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataPropertiesToRemove=["c"])
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"] == {"a": "1", "b": "2"}


def test_creation_and_approval_are_published(sagemaker: Any, group: str, events: list[Event]) -> None:
    arn = register(sagemaker, group, ModelApprovalStatus="PendingManualApproval")
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="looks right"
    )
    details = [detail for kind, detail, arns in events if kind == STATE_CHANGE and arns == [arn]]
    assert [detail["ModelApprovalStatus"] for detail in details] == ["PendingManualApproval", "Approved"]
    assert details[1]["ModelPackageGroupName"] == group
    assert (details[1]["ModelPackageVersion"], details[1]["ModelPackageArn"]) == (1, arn)
    assert details[1]["UpdatedModelPackageFields"] == ["ApprovalDescription", "ModelApprovalStatus"]
    assert details[1]["CreationTime"].endswith("Z")
    assert "UpdatedModelPackageFields" not in details[0]


def test_unknown_approval_status_is_refused(sagemaker: Any, group: str) -> None:
    arn = register(sagemaker, group)
    with pytest.raises(ClientError, match="Value 'Maybe' at 'modelApprovalStatus'"):
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Maybe")


def test_unknown_model_package_is_a_client_error(sagemaker: Any) -> None:
    with pytest.raises(ClientError) as unknown:
        sagemaker.describe_model_package(ModelPackageName="missing")
    assert unknown.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_group_with_packages_is_not_deleted(sagemaker: Any, group: str) -> None:
    register(sagemaker, group)
    with pytest.raises(ClientError, match="still has model packages"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    empty = f"{group}-empty"
    sagemaker.create_model_package_group(ModelPackageGroupName=empty)
    sagemaker.delete_model_package_group(ModelPackageGroupName=empty)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=empty)


def test_deleted_package_is_gone_and_its_version_is_not_used_again(sagemaker: Any, group: str) -> None:
    first, second = register(sagemaker, group), register(sagemaker, group)
    sagemaker.delete_model_package(ModelPackageName=first)
    with pytest.raises(ClientError):
        sagemaker.describe_model_package(ModelPackageName=first)
    assert register(sagemaker, group).endswith("/3")
    sagemaker.delete_model_package(ModelPackageName=second)
    listed = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [each["ModelPackageVersion"] for each in listed] == [3]


def test_new_value_of_a_tag_replaces_the_old_one(sagemaker: Any, group: str) -> None:
    package = register(sagemaker, group)
    model = sagemaker.create_model(
        ModelName=group,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": "i"},
        Tags=[{"Key": "a", "Value": "0"}],
    )["ModelArn"]
    for arn in (package, model):
        for value in ("1", "2"):
            tags = [{"Key": "a", "Value": value}, {"Key": "b", "Value": "x"}]
            sagemaker.add_tags(ResourceArn=arn, Tags=tags)
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}]


def test_duplicate_names_are_refused(sagemaker: Any, group: str) -> None:
    model = {"ModelName": group, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "i"}}
    sagemaker.create_model(**model, EnableNetworkIsolation=True)
    assert sagemaker.describe_model(ModelName=group)["EnableNetworkIsolation"] is True
    variant = {
        "VariantName": "v",
        "ModelName": group,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    config = {"EndpointConfigName": group, "ProductionVariants": [variant]}
    sagemaker.create_endpoint_config(**config)
    for call, request in (
        (sagemaker.create_model, model),
        (sagemaker.create_endpoint_config, config),
        (sagemaker.create_model_package_group, {"ModelPackageGroupName": group}),
    ):
        with pytest.raises(ClientError, match="already exist"):
            call(**request)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/o"}}}, "AsyncInferenceConfig"),
        (
            {
                "DataCaptureConfig": {
                    "EnableCapture": True,
                    "InitialSamplingPercentage": 10,
                    "DestinationS3Uri": "s3://b/c",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                }
            },
            "EnableCapture",
        ),
    ],
)
def test_unsupported_endpoint_configuration_is_refused_with_its_field(
    sagemaker: Any, group: str, extra: dict[str, Any], named: str
) -> None:
    variant = {
        "VariantName": "v",
        "ModelName": group,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    with pytest.raises(ClientError, match=f"{named} is not emulated"):
        sagemaker.create_endpoint_config(EndpointConfigName=group, ProductionVariants=[variant], **extra)
