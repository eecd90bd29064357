"""What outlives every run: the key, the three buckets and the model registry."""

from __future__ import annotations

import pulumi

from components.alarm import EVENTS, PUBLISHERS
from components.key import Key, KeyArgs
from components.model_package_group import ModelPackageGroup, ModelPackageGroupArgs
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from ml import contract
from stacks.config import StageConfig


class Storage(pulumi.ComponentResource):
    """One key for the stage, the data, artifacts and logs buckets, and the group of model packages."""

    key: Key
    data: PrivateBucket
    artifacts: PrivateBucket
    logs: PrivateBucket
    packages: ModelPackageGroup

    def __init__(self, name: str, stage: StageConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        keep, noncurrent = stage.storage, stage.storage.expire_noncurrent_after_days
        self.key = Key(
            "key",
            KeyArgs(
                alias=f"ncf-{stage.stage}",
                services=PUBLISHERS,
                unbound_services=[EVENTS],
                protect=stage.protect_data,
            ),
            child,
        )
        self.data = PrivateBucket(
            "data",
            PrivateBucketArgs(
                kms_key_arn=self.key.arn,
                protect=stage.protect_data,
                sends_events=True,
                expire_after_days={contract.PREPARED_PREFIX: keep.expire_prepared_runs_after_days},
                expire_noncurrent_after_days=noncurrent,
            ),
            child,
        )
        # Models and code bundles stay: the champion may be as old as it is good.
        self.artifacts = PrivateBucket(
            "artifacts",
            PrivateBucketArgs(
                kms_key_arn=self.key.arn,
                protect=stage.protect_data,
                sends_events=True,
                expire_noncurrent_after_days=noncurrent,
            ),
            child,
        )
        self.logs = PrivateBucket(
            "logs",
            PrivateBucketArgs(
                kms_key_arn=self.key.arn,
                protect=False,
                expire_after_days={"": keep.expire_logs_after_days},
                expire_noncurrent_after_days=noncurrent,
            ),
            child,
        )
        self.packages = ModelPackageGroup(
            "packages",
            ModelPackageGroupArgs(
                group_name=f"NCF-{stage.stage}",
                description=f"Candidates and champions of the recommender, stage {stage.stage}",
                protect=stage.protect_data,
            ),
            child,
        )
        self.register_outputs({})
