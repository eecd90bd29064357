"""Permission to pull container images."""

from __future__ import annotations

import pulumi

from components.iam import Allow
from ml.settings.containers import image_repository_resource


def grant_pull_images(partition: pulumi.Input[str], *images: str) -> list[Allow]:
    """Permission to pull images from their ECR repositories."""
    return [
        Allow(
            actions=["ecr:GetAuthorizationToken"],
            resources=["*"],
            reason="a registry's token has no resource-level permissions",
        ),
        Allow(
            actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            resources=[
                pulumi.Output.concat("arn:", partition, ":ecr:", resource)
                for resource in sorted(set(map(image_repository_resource, images)))
            ],
        ),
    ]
