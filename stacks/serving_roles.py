"""Permissions of the serving slice: the endpoint's model, `deploy_model` and `recommend`."""

from __future__ import annotations

from collections.abc import Collection

import pulumi

from components.endpoint import Endpoint
from components.iam import Allow, grant_pass_role
from ml import contract
from stacks.containers import grant_pull_images
from stacks.sagemaker import PIPELINE_RESOURCES, SAGEMAKER
from stacks.storage import Storage


def endpoint_model_role(storage: Storage, images: Collection[str]) -> list[Allow]:
    """Permissions of the inference container: read its artifact and pull one of the images."""
    return [
        storage.artifacts.grant_read(contract.MODELS_PREFIX),
        storage.artifacts.grant_list_all(),
        storage.key.grant_decrypt(),
        # The guide of deployment guardrails requires it of the "execution role": the caller's or this one.
        _grant_describe_alarms(storage),
        *grant_pull_images(storage.key.partition, *images),
    ]


def deploy_model_role(
    stage_name: str, storage: Storage, endpoint: Endpoint, topic_arn: pulumi.Input[str]
) -> list[Allow]:
    """Permissions of `deploy_model`: read and update packages, update the endpoint, delete old configs.

    The function names its models and endpoint configs ``<endpoint>-v<version>-…``.
    """
    key, own_names = storage.key, pulumi.Output.concat(endpoint.name, "-v*")
    configs = key.resource_arn("sagemaker", pulumi.Output.concat("endpoint-config/", own_names))
    own_models, pipeline_models = (
        key.resource_arn("sagemaker", pulumi.Output.concat("model/", name))
        for name in (own_names, PIPELINE_RESOURCES)
    )
    return [
        Allow(actions=["sagemaker:DescribeEndpoint"], resources=[endpoint.arn]),
        Allow(actions=["sagemaker:UpdateEndpoint"], resources=[endpoint.arn, configs]),
        Allow(
            actions=["sagemaker:CreateEndpointConfig", "sagemaker:DeleteEndpointConfig"], resources=[configs]
        ),
        Allow(actions=["sagemaker:DescribeEndpointConfig"], resources=[configs]),
        Allow(
            actions=["sagemaker:ListEndpointConfigs"],
            resources=["*"],
            reason="listing has no resource-level permissions",
        ),
        Allow(
            actions=["sagemaker:CreateModel", "sagemaker:DeleteModel", "sagemaker:DescribeModel"],
            resources=[own_models],
        ),
        Allow(actions=["sagemaker:DescribeModel"], resources=[pipeline_models]),
        # The names of a pipeline's models do not contain its stage; its tags do.
        Allow(
            actions=["sagemaker:DeleteModel"],
            resources=[pipeline_models],
            conditions={"StringEquals": {"aws:ResourceTag/Stage": stage_name}},
        ),
        storage.packages.grant_update(),
        # A rollout writes its endpoint configs into its alarms; a withdrawn one is rolled back by an alarm.
        Allow(
            actions=["cloudwatch:PutMetricAlarm", "cloudwatch:SetAlarmState"],
            resources=endpoint.rollout_alarms.arns,
        ),
        # UpdateEndpoint checks the rollout's alarms and encrypts volumes with the caller's permissions.
        _grant_describe_alarms(storage),
        *key.grant_encrypt_volumes(),
        grant_pass_role(endpoint.model_role_arn, SAGEMAKER),
        # The popular list of a deployed package is copied to the key that `recommend` reads.
        storage.artifacts.grant_read(contract.MODELS_PREFIX),
        storage.artifacts.grant_write_object(contract.FALLBACK_KEY),
        # Rollbacks are notified once.
        storage.artifacts.grant_read(contract.ROLLBACKS_PREFIX),
        storage.artifacts.grant_write(contract.ROLLBACKS_PREFIX),
        storage.artifacts.grant_delete(contract.ROLLBACKS_PREFIX),
        storage.artifacts.grant_list_all(),
        key.grant_encrypt(),  # of objects; and SNS encrypts a message with the publisher's permissions
        Allow(actions=["sns:Publish"], resources=[topic_arn]),
    ]


def recommend_role(storage: Storage, endpoint: Endpoint, *, records_answers: bool) -> list[Allow]:
    """Permissions of `recommend`: invoke the endpoint, and read the popular list, which may not exist yet.

    If it records answers, it also reads and creates the key that names users in them.
    """
    allows = [
        endpoint.grant_invoke(),
        storage.artifacts.grant_read_object(contract.FALLBACK_KEY),
        storage.artifacts.grant_list_all(),
    ]
    if records_answers:
        allows += [
            storage.artifacts.grant_read_object(contract.RECORDING_KEY),
            storage.artifacts.grant_write_object(contract.RECORDING_KEY),
            storage.key.grant_encrypt(),
        ]
    return allows


def _grant_describe_alarms(storage: Storage) -> Allow:
    """Permission to read the state of alarms, which may roll a deployment back."""
    alarms = storage.key.resource_arn("cloudwatch", "alarm:*")
    return Allow(actions=["cloudwatch:DescribeAlarms"], resources=[alarms])
