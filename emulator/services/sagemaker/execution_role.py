"""Calls that SageMaker makes with the execution role of a container, apart from its data.

SageMaker developer guide, "How to use SageMaker execution roles": the permissions of the execution role for
CreateTrainingJob, CreateProcessingJob and CreateModel.
"""

from __future__ import annotations

import re

from emulator.authorization import roles
from emulator.authorization.needs import Need
from emulator.authorization.s3_needs import key_arn
from emulator.authorization.service_needs import CREATE_GRANT, FOR_AWS_RESOURCE, log_stream_arn
from emulator.region import Region
from emulator.services.sagemaker.errors import invalid
from emulator.wire import ServiceError

SERVICE = "sagemaker.amazonaws.com"
SESSION = "SageMaker"
_ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<repository>[^:@]+)"
)
PULL_ACTIONS = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def check_role(region: Region, role_arn: str, source_arn: str) -> None:
    """Check that SageMaker may assume a role.

    Raises:
        ServiceError: ValidationException, the role does not exist or does not trust SageMaker.
    """
    try:
        trusted = roles.trusts(region.backend("iam"), role_arn, SERVICE, source_arn)
    except ServiceError:
        trusted = False
    if not trusted:
        raise invalid(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{SERVICE}' to assume the role."
        )


class ExecutionRole:
    """Execution role of one job or model."""

    def __init__(self, region: Region, arn: str) -> None:
        self.arn = arn
        self._region = region

    def pull_image(self, image: str) -> None:
        """Authorise the pull of an image of a private registry.

        Raises:
            AccessDeniedError: the role may not pull the image.
        """
        match = _ECR_IMAGE.match(image)
        if match is None:
            return
        partition = self._region.place().partition
        arn = f"arn:{partition}:ecr:{match['region']}:{match['account']}:repository/{match['repository']}"
        self._require(Need("ecr:GetAuthorizationToken"))
        for action in PULL_ACTIONS:
            self._require(Need(action, arn))

    def attach_volume(self, kms_key: str | None) -> None:
        """Authorise the grant with which EC2 uses the key of the instances' volumes.

        Raises:
            AccessDeniedError: the role may not create the grant.
        """
        if kms_key:
            self._require(Need(CREATE_GRANT, key_arn(self._region.place(), kms_key), FOR_AWS_RESOURCE))

    def may_log(self, group: str, stream: str) -> bool:
        """Whether the container's output is stored in CloudWatch Logs; SageMaker goes on without."""
        place = self._region.place()
        on_group, on_stream = log_stream_arn(place, group), log_stream_arn(place, group, stream)
        needs = [Need("logs:DescribeLogStreams", on_group)]
        if group not in self._region.backend("logs").groups:
            needs.append(Need("logs:CreateLogGroup", on_group))
        needs += [Need("logs:CreateLogStream", on_stream), Need("logs:PutLogEvents", on_stream)]
        return self._region.permits(self.arn, *needs)

    def publish_metrics(self, namespace: str) -> None:
        """Record the permission to publish the instances' metrics; SageMaker goes on without."""
        context = {"cloudwatch:namespace": namespace}
        self._region.permits(self.arn, Need("cloudwatch:PutMetricData", "*", context))

    def _require(self, need: Need) -> None:
        self._region.host.access.require(self.arn, need, self._region.name, SESSION)
