"""Storage slice: the KMS key, the three buckets and the model package group of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.alarm import EVENTS, PUBLISHERS
from components.iam import Allow
from components.key import Key, KeyArgs
from components.model_package_group import ModelPackageGroup, ModelPackageGroupArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from ml import contract
from stacks.sections import StorageConfig

SCRATCH_DAYS = 2  # longer than any cluster runs: a run's temporary files are only left by a killed one
# EC2 launches the spot instances of the Spark cluster with it; their volumes are encrypted with the key.
SPOT_ROLE = "aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """Arguments of `Storage`.

    Attributes:
        stage_name: part of the names of key alias and model package group.
        config: section `storage` of the stage configuration.
        protect: Pulumi refuses to delete the key, the data and artifacts buckets, and the group.
    """

    stage_name: str
    config: StorageConfig
    protect: bool


class Storage(pulumi.ComponentResource):
    """KMS key, data, artifacts and logs buckets, and the model package group of a stage.

    Creates: Key, PrivateBucket (3), ModelPackageGroup.
    """

    key: Key
    data: PrivateBucket
    artifacts: PrivateBucket
    logs: PrivateBucket
    packages: ModelPackageGroup

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        config = args.config
        self.key = Key(
            "key",
            KeyArgs(
                alias=f"ncf-{args.stage_name}",
                services=PUBLISHERS,
                unbound_services=[EVENTS],
                launching_roles=[SPOT_ROLE],
                protect=args.protect,
            ),
            child,
        )
        prepared_days, logs_days = config.expire_prepared_runs_after_days, config.expire_logs_after_days
        self.data = self._bucket(
            "data",
            args,
            expire_after_days={
                contract.PREPARED_PREFIX: prepared_days,
                contract.RECOMMENDATIONS_PREFIX: prepared_days,
            },
            purge_after_days={contract.SCRATCH_PREFIX: SCRATCH_DAYS},
        )
        # Models and code bundles never expire: an old champion may still be served.
        self.artifacts = self._bucket("artifacts", args)
        self.logs = PrivateBucket(
            "logs",
            PrivateBucketArgs(
                kms_key_arn=self.key.arn,
                protect=False,
                expire_after_days={"": logs_days},
                expire_noncurrent_after_days=config.expire_noncurrent_after_days,
            ),
            child,
        )
        self.packages = ModelPackageGroup(
            "packages",
            ModelPackageGroupArgs(
                group_name=f"NCF-{args.stage_name}",
                description=f"Candidates and champions of the recommender, stage {args.stage_name}",
                protect=args.protect,
            ),
            child,
        )
        self.register_outputs({})

    def _bucket(
        self,
        name: str,
        args: StorageArgs,
        *,
        expire_after_days: Mapping[str, int] | None = None,
        purge_after_days: Mapping[str, int] | None = None,
    ) -> PrivateBucket:
        """Bucket whose S3 events start the steps of a run."""
        return PrivateBucket(
            name,
            PrivateBucketArgs(
                kms_key_arn=self.key.arn,
                protect=args.protect,
                sends_events=True,
                expire_after_days=expire_after_days or {},
                purge_after_days=purge_after_days or {},
                expire_noncurrent_after_days=args.config.expire_noncurrent_after_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def grant_read_prepared_runs(self) -> list[Allow]:
        """Permissions to read prepared runs and to detect missing files of a run."""
        return [
            self.data.grant_read(contract.PREPARED_PREFIX),
            self.data.grant_list_all(),
            self.key.grant_decrypt(),
        ]
