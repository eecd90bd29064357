"""Permission to pull AWS's PyTorch images."""

from __future__ import annotations

from typing import get_args

import pulumi

from components.iam import Allow
from ml.settings.containers import ImageUse, image_repository, registry_account


def grant_pull_images(partition: pulumi.Input[str], region: str) -> list[Allow]:
    """Permission to pull the PyTorch images of a region."""
    account = registry_account(region)
    return [
        Allow(
            actions=["ecr:GetAuthorizationToken"],
            resources=["*"],
            reason="a registry's token has no resource-level permissions",
        ),
        Allow(
            actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            resources=[
                pulumi.Output.format(
                    "arn:{0}:ecr:{1}:{2}:repository/{3}", partition, region, account, image_repository(use)
                )
                for use in sorted(get_args(ImageUse))
            ],
        ),
    ]
