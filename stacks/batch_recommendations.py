"""Batch recommendations: the processing job that `deploy_model` starts after a rollout (ADR 33)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.egress_group import EgressGroup, EgressGroupArgs
from components.iam import (
    Allow,
    ServiceRole,
    ServiceRoleArgs,
    grant_container_logs_and_metrics,
    grant_pass_role,
)
from components.network import Network
from components.spark.job import PACKAGES_FILE
from ml import contract
from ml.settings.containers import JOB_LOG_GROUPS, PROCESSING_INPUT
from stacks.containers import grant_pull_images
from stacks.preparation import grant_read_secret
from stacks.sagemaker import SAGEMAKER
from stacks.sections import BatchConfig
from stacks.spark_sections import FeatureStoreConfig
from stacks.storage import Storage


@dataclass(frozen=True, kw_only=True)
class BatchRecommendationsArgs:
    """Arguments of `BatchRecommendations`.

    Attributes:
        endpoint_name: the jobs are named after it.
        config: section `batch_recommendations` of the stage configuration.
        image: URI of the job's container, which is that of the training.
        storage: the buckets and the key.
        feature_store: database that gets the lists as well; None: S3 only.
        network: network of the feature store's clients; the job runs in it if there is a feature store.
        tags: tags of the jobs.
    """

    endpoint_name: str
    config: BatchConfig
    image: str
    storage: Storage
    feature_store: FeatureStoreConfig | None
    network: Network
    tags: Mapping[str, str]


class BatchRecommendations(pulumi.ComponentResource):
    """Role and request of the jobs that write the recommendations of all users.

    Creates: ServiceRole, and EgressGroup with a feature store.
    """

    request: pulumi.Output[str]  # CreateProcessingJob as JSON, without what differs between rollouts
    job_prefix: str
    uri: pulumi.Output[str]

    def __init__(
        self, name: str, args: BatchRecommendationsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:serving:BatchRecommendations", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        storage, store = args.storage, args.feature_store
        self.job_prefix = f"{args.endpoint_name}-batch-"
        self.uri = pulumi.Output.concat("s3://", storage.data.name, "/", contract.RECOMMENDATIONS_PREFIX)
        self._jobs_arn = storage.key.resource_arn("sagemaker", f"processing-job/{self.job_prefix}*")
        self._role = ServiceRole(
            "batch-role",
            ServiceRoleArgs(
                service=SAGEMAKER,
                source_account=storage.key.account_id,
                allows=batch_role(storage, args.image, store),
            ),
            child,
        )
        group = None
        if store is not None:
            group = EgressGroup(
                f"{name}-job",
                EgressGroupArgs(
                    description="Batch recommendations: services of AWS and the feature store",
                    vpc_id=args.network.vpc_id,
                    s3_prefix_list_id=args.network.s3_prefix_list_id,
                    endpoints_security_group_id=args.network.endpoints_security_group_id,
                    database=store.servers(),
                ),
                child,
            )
        self.request = pulumi.Output.json_dumps(self._request(args, group))
        self.register_outputs({"uri": self.uri})

    def grant_start(self) -> list[Allow]:
        """Permissions to start the jobs."""
        return [
            Allow(actions=["sagemaker:AddTags", "sagemaker:CreateProcessingJob"], resources=[self._jobs_arn]),
            grant_pass_role(self._role.arn, SAGEMAKER),
        ]

    def ended_event(self, *statuses: str) -> dict[str, Any]:
        """Source, type and detail of the event of a job's end, as `EventRouteArgs` takes them.

        Args:
            statuses: ``Failed``, or ``Stopped``: by a person, or after `max_runtime_s`.
        """
        return {
            "source": "aws.sagemaker",
            "detail_type": "SageMaker Processing Job State Change",
            "detail": {
                "ProcessingJobName": [{"prefix": self.job_prefix}],
                "ProcessingJobStatus": list(statuses),
            },
        }

    def _request(self, args: BatchRecommendationsArgs, group: EgressGroup | None) -> dict[str, Any]:
        config, store, storage = args.config, args.feature_store, args.storage
        arguments: list[pulumi.Input[str]] = ["--output", self.uri, "--top-n", str(config.top_n)]
        if store is not None:
            arguments += [
                "--feature-store-secret",
                store.secret_arn,
                "--feature-store-database",
                store.database,
            ]
        found: dict[str, Any] = {
            "RoleArn": self._role.arn,
            "AppSpecification": {
                "ImageUri": args.image,
                "ContainerEntrypoint": ["python3", "-m", "ml.batch.job"],
                "ContainerArguments": arguments,
            },
            "Environment": {"PYTHONPATH": f"{PROCESSING_INPUT}/code"},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": config.instance_type,
                    "VolumeSizeInGB": config.volume_gib,
                    "VolumeKmsKeyId": storage.key.arn,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": config.max_runtime_s},
            "Tags": [{"Key": key, "Value": value} for key, value in args.tags.items()],
        }
        if group is not None:
            packages = pulumi.Output.concat(
                "s3://", storage.artifacts.name, "/", contract.SPARK_PREFIX, PACKAGES_FILE
            )
            found["ProcessingInputs"] = [_input("packages", packages)]
            found["NetworkConfig"] = {
                "VpcConfig": {"SecurityGroupIds": [group.id], "Subnets": args.network.subnet_ids}
            }
        return found


def batch_role(storage: Storage, image: str, store: FeatureStoreConfig | None) -> list[Allow]:
    """Permissions of the jobs: read the artifact and its code, write the lists, read the store's secret."""
    artifacts, data, key = storage.artifacts, storage.data, storage.key
    log_group = key.resource_arn("logs", f"log-group:{JOB_LOG_GROUPS['ProcessingJob']}")
    return [
        artifacts.grant_read(contract.MODELS_PREFIX),
        artifacts.grant_list_all(),
        data.grant_write(contract.RECOMMENDATIONS_PREFIX),
        data.grant_list(contract.RECOMMENDATIONS_PREFIX),
        key.grant_encrypt(),
        *key.grant_encrypt_volumes(),
        *grant_container_logs_and_metrics([log_group], creates_groups=True),
        *grant_pull_images(key.partition, image),
        *(_grant_feature_store(storage, store) if store else []),
    ]


def _grant_feature_store(storage: Storage, store: FeatureStoreConfig) -> list[Allow]:
    """Permissions to run in the store's network, to read its secret and the packages of its client."""
    key = storage.key
    parts = [
        key.resource_arn("ec2", f"{part}/*") for part in ("network-interface", "subnet", "security-group")
    ]
    return [
        # The documents of parts that exist are written again by a job that starts again.
        storage.data.grant_read(contract.RECOMMENDATIONS_PREFIX),
        storage.artifacts.grant_read_object(f"{contract.SPARK_PREFIX}{PACKAGES_FILE}"),
        *grant_read_secret(storage, store),
        # SageMaker developer guide, roles: jobs that access resources in a VPC.
        Allow(
            actions=[
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            resources=parts,
        ),
        Allow(
            actions=[
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            resources=["*"],
            reason="descriptions in EC2 have no resource-level permissions",
        ),
    ]


def _input(name: str, uri: pulumi.Input[str]) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{PROCESSING_INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        },
    }
