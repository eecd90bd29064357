"""AWS's PyTorch containers on SageMaker: images, paths and log groups."""

import re
from collections.abc import Mapping
from typing import Literal

ImageUse = Literal["training", "inference"]

# -- images --------------------------------------------------------------------------------------
_COMMERCIAL = "763104351884"
# Region -> account of the registry of the AWS Deep Learning Containers, for the regions with both PyTorch
# images (AWS documentation, "Available Deep Learning Containers images"). The SageMaker SDK agrees with it.
REGISTRY_ACCOUNTS: Mapping[str, str] = {
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-1": _COMMERCIAL,
    "ap-northeast-2": _COMMERCIAL,
    "ap-northeast-3": "364406365360",
    "ap-south-1": _COMMERCIAL,
    "ap-south-2": "772153158452",
    "ap-southeast-1": _COMMERCIAL,
    "ap-southeast-2": _COMMERCIAL,
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-central-1": _COMMERCIAL,
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-1": _COMMERCIAL,
    "eu-central-2": "380420809688",
    "eu-north-1": _COMMERCIAL,
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eu-west-1": _COMMERCIAL,
    "eu-west-2": _COMMERCIAL,
    "eu-west-3": _COMMERCIAL,
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "mx-central-1": "637423239942",
    "sa-east-1": _COMMERCIAL,
    "us-east-1": _COMMERCIAL,
    "us-east-2": _COMMERCIAL,
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
    "us-west-1": _COMMERCIAL,
    "us-west-2": _COMMERCIAL,
}


def registry_account(region: str) -> str:
    """AWS account of the container registry of a region.

    Raises:
        ValueError: the region has no PyTorch images.
    """
    if region not in REGISTRY_ACCOUNTS:
        raise ValueError(
            f"{region!r} has no PyTorch images of AWS: write one of {', '.join(REGISTRY_ACCOUNTS)}"
        )
    return REGISTRY_ACCOUNTS[region]


def image_repository(use: ImageUse) -> str:
    """ECR repository of the images for training or for inference."""
    return f"pytorch-{use}"


def image_uri(region: str, use: ImageUse, instance_type: str, framework_version: str, py_version: str) -> str:
    """URI of the image for the processor of an instance type: ``ml.g5.xlarge`` has a GPU.

    Raises:
        ValueError: the region has no PyTorch images.
    """
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    processor = "gpu" if instance_type.split(".")[1][0] in "gp" else "cpu"
    registry = f"{registry_account(region)}.dkr.ecr.{region}.{domain}"
    return f"{registry}/{image_repository(use)}:{framework_version}-{processor}-{py_version}"


FRAMEWORK_VERSION = r"\d+\.\d+(\.\d+)?"  # of PyTorch
PY_VERSION = r"py\d{2,3}"
# ECR user guide, "Pulling an image". Without a tag or digest, the image would be the one that is `latest`.
IMAGE_URI = (
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.[a-z.]+"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]*)(:[\w][\w.-]*|@sha256:[0-9a-f]{64})"
)


def image_region(uri: str) -> str:
    """Region of the registry of an ECR image."""
    return _image_parts(uri)["region"]


def image_repository_resource(uri: str) -> str:
    """ECR repository of an image, as in its ARN: ``REGION:ACCOUNT:repository/NAME``."""
    parts = _image_parts(uri)
    return f"{parts['region']}:{parts['account']}:repository/{parts['repository']}"


def _image_parts(uri: str) -> Mapping[str, str]:
    found = re.fullmatch(IMAGE_URI, uri)
    if found is None:
        raise ValueError(f"{uri!r} is not the URI of an ECR image with a tag or digest")
    return found.groupdict()


# -- paths ---------------------------------------------------------------------------------------
TRAINING_CODE = "/opt/ml/input/data/code"  # channel "code" of the training job
# Copied from and to S3 by SageMaker (API reference, CheckpointConfig: the default of LocalPath).
CHECKPOINTS = "/opt/ml/checkpoints"
PROCESSING_INPUT = "/opt/ml/processing/input"
PROCESSING_EVALUATION = "/opt/ml/processing/evaluation"
PROCESSING_MESSAGE = "/opt/ml/output/message"  # DescribeProcessingJob, ExitMessage

# -- CloudWatch log groups -----------------------------------------------------------------------
# Key of the job in the metadata of a pipeline step -> log group of the job.
JOB_LOG_GROUPS: Mapping[str, str] = {
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
}
