"""Permissions of operations that the service authorization reference does not describe well enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError

from emulator import moto_state
from emulator.authorization.infrastructure_needs import INFRASTRUCTURE_NEEDS, WHOLE_SERVICES
from emulator.authorization.needs import (
    Need,
    NeedsOf,
    from_table,
    pass_role,
    request_tags,
    service_linked_role,
)
from emulator.authorization.operations import CalledOperation
from emulator.authorization.resources import Place
from emulator.authorization.s3_needs import S3_NEEDS, key_arn

CREATE_GRANT = "kms:CreateGrant"
FOR_AWS_RESOURCE = {"kms:GrantIsForAWSResource": "true"}


def needs(operation: CalledOperation, place: Place) -> list[Need]:
    """Permissions that the caller of an operation needs, in the order in which they are checked.

    Raises:
        ServiceError: NotImplemented, the emulator cannot authorise the operation.
    """
    prefix, name = operation.prefix, operation.name
    for table in (SERVICE_NEEDS, INFRASTRUCTURE_NEEDS):
        if (needs_of := table.get(prefix, {}).get(name)) is not None:
            return list(needs_of(operation, place))
    return list(WHOLE_SERVICES.get(prefix, from_table)(operation, place))


# -- EMR --------------------------------------------------------------------------------------------------
def run_job_flow(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """RunJobFlow: the actions of its tags and policies, its roles, and EMR's service-linked role.

    EMR management guide, "Using service-linked roles for cleanup": EMR creates the role with an account's
    first cluster, with the permissions of the caller.
    """
    parameters, tags = operation.parameters, request_tags(operation)
    cluster = f"arn:{place.partition}:elasticmapreduce:{place.region}:{place.account_id}:cluster/*"
    yield Need("elasticmapreduce:RunJobFlow", "*", tags)
    if parameters.get("Tags"):
        yield Need("elasticmapreduce:AddTags", cluster, tags)
    for parameter, action in (
        ("ManagedScalingPolicy", "elasticmapreduce:PutManagedScalingPolicy"),
        ("AutoTerminationPolicy", "elasticmapreduce:PutAutoTerminationPolicy"),
    ):
        if parameters.get(parameter):
            yield Need(action, cluster, tags)
    yield from service_linked_role(place, "elasticmapreduce.amazonaws.com", "AWSServiceRoleForEMRCleanup")
    if role := parameters.get("ServiceRole"):
        yield pass_role(str(role), "elasticmapreduce.amazonaws.com", place)
    profile = find_profile(str(parameters.get("JobFlowRole", "")), place)
    for role in profile.roles if profile is not None else []:
        yield pass_role(role.arn, "ec2.amazonaws.com", place)


def on_cluster(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Operations on a cluster; the condition keys include the cluster's tags."""
    clusters = moto_state.backend("emr", place.region).clusters
    for need in from_table(operation, place):
        found = clusters.get(need.resource.rpartition("/")[2])
        context = {
            f"{prefix}:ResourceTag/{tag['Key']}": str(tag["Value"])
            for tag in (found.tags if found is not None else [])
            for prefix in ("aws", "elasticmapreduce")
        }
        yield Need(need.action, need.resource, {**need.context, **context})


def find_profile(name: str, place: Place) -> Any:
    """moto's instance profile by name or ARN; None when it does not exist."""
    profiles = moto_state.backend("iam", place.region).instance_profiles.values()
    return next((profile for profile in profiles if name in (profile.name, profile.arn)), None)


# -- SageMaker ----------------------------------------------------------------------------------------------
def deploy_endpoint(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateEndpoint, UpdateEndpoint: the volumes' key and the alarms of the rollback configuration.

    SageMaker developer guide, "SageMaker API permissions" (kms:CreateGrant for an endpoint configuration with
    KmsKeyId) and "Auto-rollback configuration and monitoring" (cloudwatch:DescribeAlarms).
    """
    yield from from_table(operation, place)
    name = operation.parameters.get("EndpointConfigName", "")
    config = moto_state.backend("sagemaker", place.region).endpoint_configs.get(name)
    if config is not None and config.kms_key_id:
        yield Need(CREATE_GRANT, key_arn(place, config.kms_key_id), FOR_AWS_RESOURCE)
    deployment = operation.parameters.get("DeploymentConfig") or {}
    if deployment.get("AutoRollbackConfiguration"):
        yield describe_alarms_need(place)


def list_packages(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """ListModelPackages: authorised on the packages of the group, or on all."""
    group = str(operation.parameters.get("ModelPackageGroupName") or "*").rpartition("/")[2]
    head = f"arn:{place.partition}:sagemaker:{place.region}:{place.account_id}"
    yield Need("sagemaker:ListModelPackages", f"{head}:model-package/{group}/*")


def create_package(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """CreateModelPackage: on the new version and, for a version of a group, on the group."""
    head = f"arn:{place.partition}:sagemaker:{place.region}:{place.account_id}"
    group = str(operation.parameters.get("ModelPackageGroupName") or "").rpartition("/")[2]
    context = request_tags(operation)
    if approval := operation.parameters.get("ModelApprovalStatus"):
        context["sagemaker:ModelApprovalStatus"] = approval
    name = f"{group}/*" if group else str(operation.parameters.get("ModelPackageName", "*"))
    yield Need("sagemaker:CreateModelPackage", f"{head}:model-package/{name}", context)
    if group:
        yield Need("sagemaker:CreateModelPackage", f"{head}:model-package-group/{group}", context)


def on_tagged(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Operations on an existing resource; the condition keys include its tags."""
    backend = moto_state.backend("sagemaker", place.region)
    for need in from_table(operation, place):
        tags = _tags_of(backend, need.resource)
        context = {
            f"{prefix}:ResourceTag/{key}": value
            for key, value in tags.items()
            for prefix in ("aws", "sagemaker")
        }
        yield Need(need.action, need.resource, {**need.context, **context})


def _tags_of(backend: Any, arn: str) -> dict[str, str]:
    """Tags of a resource of SageMaker; none for one that does not exist."""
    try:
        tags, _ = backend.list_tags(arn=arn)
    except (AttributeError, KeyError, ValueError, JsonRESTError):  # moto's errors for unknown resources
        return {}
    return {tag["Key"]: tag["Value"] for tag in tags or []}


# -- CloudWatch and CloudWatch Logs -------------------------------------------------------------------------
def describe_alarms(_operation: CalledOperation, place: Place) -> Iterator[Need]:
    """DescribeAlarms: on all alarms, also for a request that names some."""
    yield describe_alarms_need(place)


def describe_alarms_need(place: Place) -> Need:
    """Permission to describe alarms."""
    arn = f"arn:{place.partition}:cloudwatch:{place.region}:{place.account_id}:alarm:*"
    return Need("cloudwatch:DescribeAlarms", arn)


def put_metric_data(operation: CalledOperation, _place: Place) -> Iterator[Need]:
    """PutMetricData: no resource; the namespace is a condition key."""
    context = {"cloudwatch:namespace": str(operation.parameters.get("Namespace", ""))}
    yield Need("cloudwatch:PutMetricData", "*", context)


def on_log_group(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Operations on a log group or stream; CloudWatch Logs adds ``:log-stream:`` to the group's ARN."""
    parameters = operation.parameters
    group = str(parameters.get("logGroupName") or parameters.get("logGroupIdentifier") or "*")
    stream = str(parameters.get("logStreamName") or "")
    yield Need(f"logs:{operation.name}", log_stream_arn(place, group, stream), request_tags(operation))


def log_stream_arn(place: Place, group: str, stream: str = "") -> str:
    """ARN of a log stream, and the form in which CloudWatch Logs authorises actions on a group."""
    head = f"arn:{place.partition}:logs:{place.region}:{place.account_id}"
    return f"{head}:log-group:{group.rpartition(':log-group:')[2].removesuffix(':*')}:log-stream:{stream}"


# -- Lambda, Secrets Manager, STS ---------------------------------------------------------------------------
def invoke_function(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Invoke: lambda:InvokeFunction, on the version or alias if the request names one."""
    qualifier = operation.parameters.get("Qualifier")
    for need in from_table(operation, place, action="InvokeFunction"):
        if need.resource.count(":") == 6 or not qualifier:
            yield Need(need.action, f"{need.resource}:{qualifier}" if qualifier else need.resource)
            return


def get_secret_value(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """GetSecretValue: on the secret's full ARN, which ends with six random letters; decryption by its key."""
    secret_id = str(operation.parameters.get("SecretId", ""))
    secrets = moto_state.backend("secretsmanager", place.region).secrets
    found = next((s for s in secrets.values() if secret_id in (s.arn, s.name, s.arn.rsplit("-", 1)[0])), None)
    head = f"arn:{place.partition}:secretsmanager:{place.region}:{place.account_id}:secret:"
    arn = (
        found.arn
        if found is not None
        else secret_id
        if secret_id.startswith("arn:")
        else f"{head}{secret_id}"
    )
    yield Need("secretsmanager:GetSecretValue", arn, {"secretsmanager:SecretId": arn})
    if found is not None and found.kms_key_id:
        context = {
            "kms:ViaService": f"secretsmanager.{place.region}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": arn,
        }
        yield Need("kms:Decrypt", key_arn(place, found.kms_key_id), context)


def publish(operation: CalledOperation, place: Place) -> Iterator[Need]:
    """Publish: SNS encrypts the message with the caller's permissions on the topic's key."""
    for need in from_table(operation, place):
        yield need
        topic = moto_state.backend("sns", place.region).topics.get(need.resource)
        if topic is not None and topic.kms_master_key_id:
            context = {"kms:ViaService": f"sns.{place.region}.amazonaws.com"}
            for action in ("kms:GenerateDataKey", "kms:Decrypt"):
                yield Need(action, key_arn(place, topic.kms_master_key_id), context)


def nothing(_operation: CalledOperation, _place: Place) -> Iterator[Need]:
    """Operations that need no permission."""
    return iter(())


ON_CLUSTER = (
    *("DescribeCluster", "DescribeStep", "ListSteps", "ListInstances", "ListInstanceFleets"),
    *("ListInstanceGroups", "ListBootstrapActions", "AddJobFlowSteps", "CancelSteps", "TerminateJobFlows"),
    *("GetManagedScalingPolicy", "GetAutoTerminationPolicy", "ModifyCluster", "AddTags", "RemoveTags"),
)
ON_LOG_GROUP = (
    *("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "FilterLogEvents", "GetLogEvents"),
    "PutLogEvents",
)
DELETES = ("DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel", "DeletePipeline")
SERVICE_NEEDS: Mapping[str, Mapping[str, NeedsOf]] = {
    "cloudwatch": {"DescribeAlarms": describe_alarms, "PutMetricData": put_metric_data},
    "elasticmapreduce": {"RunJobFlow": run_job_flow, **dict.fromkeys(ON_CLUSTER, on_cluster)},
    "lambda": {"Invoke": invoke_function},
    "logs": dict.fromkeys(ON_LOG_GROUP, on_log_group),
    "s3": S3_NEEDS,
    "sagemaker": {
        "CreateEndpoint": deploy_endpoint,
        "CreateModelPackage": create_package,
        **dict.fromkeys(DELETES, on_tagged),
        "ListModelPackages": list_packages,
        "UpdateEndpoint": deploy_endpoint,
    },
    "secretsmanager": {"GetSecretValue": get_secret_value},
    "sns": {"Publish": publish},
    "sts": {"GetCallerIdentity": nothing},
}
