"""Creators of model package groups, models, endpoint configs and endpoints."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import WaiterError

from local.deploy.context import Context, Creator, tag_list
from local.deploy.errors import CreateError
from local.deploy.inputs import Inputs

MAX_NAME = 63  # SageMaker API: models, endpoint configs, endpoints
ENDPOINT_TIMEOUT_S = 300
POLL_S = 0.2


def model_package_group(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sagemaker = context.client("sagemaker")
    sent = inputs.pick(
        {
            "modelPackageGroupName": "ModelPackageGroupName",
            "modelPackageGroupDescription": "ModelPackageGroupDescription",
        }
    )
    tags = tag_list(inputs)
    arn = sagemaker.create_model_package_group(**sent, Tags=tags)["ModelPackageGroupArn"]
    read = sagemaker.describe_model_package_group(ModelPackageGroupName=sent["ModelPackageGroupName"])
    inputs.compare(sent | {"Tags": tags}, read | sagemaker.list_tags(ResourceArn=arn))
    return sent["ModelPackageGroupName"], {"arn": arn}


def model(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sagemaker = context.client("sagemaker")
    sent = {
        "ModelName": context.name_of(inputs, name, max_length=MAX_NAME),
        **inputs.pick(
            {
                "executionRoleArn": "ExecutionRoleArn",
                "enableNetworkIsolation": "EnableNetworkIsolation",
            }
        ),
    }
    if container := inputs.block("primaryContainer"):
        sent["PrimaryContainer"] = {
            **container.pick({"image": "Image", "modelDataUrl": "ModelDataUrl"}),
            "Environment": container.plain("environment", {}),
        }
    tags = tag_list(inputs)
    arn = sagemaker.create_model(**sent, Tags=tags)["ModelArn"]
    read = sagemaker.describe_model(ModelName=sent["ModelName"])
    inputs.compare(sent | {"Tags": tags}, read | sagemaker.list_tags(ResourceArn=arn))
    return sent["ModelName"], {"arn": arn, "name": sent["ModelName"]}


def endpoint_configuration(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sagemaker = context.client("sagemaker")
    sent = {
        "EndpointConfigName": context.name_of(inputs, name, max_length=MAX_NAME),
        **inputs.pick({"kmsKeyArn": "KmsKeyId"}),
        "ProductionVariants": [_variant(variant) for variant in inputs.blocks("productionVariants")],
    }
    tags = tag_list(inputs)
    arn = sagemaker.create_endpoint_config(**sent, Tags=tags)["EndpointConfigArn"]
    read = sagemaker.describe_endpoint_config(EndpointConfigName=sent["EndpointConfigName"])
    inputs.compare(sent | {"Tags": tags}, read | sagemaker.list_tags(ResourceArn=arn))
    return sent["EndpointConfigName"], {"arn": arn, "name": sent["EndpointConfigName"]}


def _variant(inputs: Inputs) -> dict[str, Any]:
    return inputs.pick(
        {
            "variantName": "VariantName",
            "modelName": "ModelName",
            "instanceType": "InstanceType",
            "initialInstanceCount": "InitialInstanceCount",
            "initialVariantWeight": "InitialVariantWeight",
            "containerStartupHealthCheckTimeoutInSeconds": "ContainerStartupHealthCheckTimeoutInSeconds",
        }
    )


def endpoint(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    sagemaker = context.client("sagemaker")
    sent = {
        "EndpointName": context.name_of(inputs, name, max_length=MAX_NAME),
        **inputs.pick({"endpointConfigName": "EndpointConfigName"}),
    }
    tags = tag_list(inputs)
    arn = sagemaker.create_endpoint(**sent, Tags=tags)["EndpointArn"]
    try:
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=sent["EndpointName"],
            WaiterConfig={"Delay": POLL_S, "MaxAttempts": int(ENDPOINT_TIMEOUT_S / POLL_S)},
        )
    except WaiterError as error:
        read = sagemaker.describe_endpoint(EndpointName=sent["EndpointName"])
        reason = read.get("FailureReason", f"still not in service after {ENDPOINT_TIMEOUT_S} s")
        raise CreateError(f"the endpoint is {read['EndpointStatus']}: {reason}") from error
    read = sagemaker.describe_endpoint(EndpointName=sent["EndpointName"])
    inputs.compare(sent | {"Tags": tags}, read | sagemaker.list_tags(ResourceArn=arn))
    return sent["EndpointName"], {"arn": arn, "name": sent["EndpointName"]}


CREATORS: dict[str, Creator] = {
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": model_package_group,
    "aws:sagemaker/model:Model": model,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": endpoint_configuration,
    "aws:sagemaker/endpoint:Endpoint": endpoint,
}
