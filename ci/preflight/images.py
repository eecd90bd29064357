"""Container images of a stage."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stacks.config import StageConfig

ECR_URI = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.[^/]+/(?P<repository>[^:@]+)(?P<sign>[:@])(?P<version>.+)"
)


@dataclass(frozen=True)
class Image:
    """An image in an ECR registry."""

    uri: str
    account_id: str
    repository: str
    version: str  # tag or digest

    def selector(self) -> dict[str, str]:
        """Element of ``imageIds`` of ECR's operations."""
        is_digest = self.version.startswith("sha256:")
        return {"imageDigest" if is_digest else "imageTag": self.version}


def parse(uri: str) -> Image:
    """The image of a URI.

    Raises:
        ValueError: the URI is not of an image in ECR, or has neither tag nor digest.
    """
    parts = ECR_URI.fullmatch(uri)
    if parts is None:
        raise ValueError(f"{uri}: not an image in ECR")
    return Image(uri, parts["account"], parts["repository"], parts["version"])


def images(config: StageConfig) -> dict[str, Image]:
    """Image by use: training, evaluation and serving."""
    region, training = config.region, config.training
    return {
        "training": parse(training.image(region, training.instance_type)),
        "evaluation": parse(training.image(region, training.evaluation_instance_type)),
        "serving": parse(config.serving.image(region)),
    }
