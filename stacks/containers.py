"""AWS's PyTorch containers: which image serves, and what pulling one takes."""

from __future__ import annotations

import pulumi

from components.iam import Allow
from stacks.config import StageConfig

# The account of the Deep Learning Containers in the commercial regions that were there before 2019
# (AWS documentation, "Available Deep Learning Containers images").
REGISTRY_ACCOUNT = "763104351884"


def inference_image(stage: StageConfig) -> str:
    """The CPU image that serves models of the stage's framework version."""
    training = stage.training
    tag = f"{training.framework_version}-cpu-{training.py_version}"
    return f"{REGISTRY_ACCOUNT}.dkr.ecr.{stage.region}.amazonaws.com/pytorch-inference:{tag}"


def pull_images(partition: pulumi.Input[str], region: str) -> list[Allow]:
    """Pulling AWS's PyTorch images."""
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
                    "arn:{0}:ecr:{1}:{2}:repository/pytorch-{3}", partition, region, REGISTRY_ACCOUNT, use
                )
                for use in ("inference", "training")
            ],
        ),
    ]
