"""CodeBuild project that builds a source bundle in S3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.iam import Allow, ServiceRole, ServiceRoleArgs, grant_write_log

MIN_TIMEOUT_MINUTES, MAX_TIMEOUT_MINUTES = 5, 2160  # CodeBuild quotas
QUEUED_TIMEOUT_MINUTES = 60


@dataclass(frozen=True, kw_only=True)
class CodeBuildArgs:
    """Arguments of `CodeBuild`.

    Attributes:
        description: purpose of the builds.
        source_bucket, source_key: location of the source bundle (a zip).
        buildspec: runs when a build is started without `buildspecOverride`.
        environment: plain-text variables of every build.
        allows: permissions of the builds, in addition to writing to their log group.
        kms_key_arn: encrypts the log group and the build output.
        image, compute_type: the build environment.
        timeout_minutes: maximum duration of a build.
        log_retention_days: retention of the log group.
        account_id: the account whose projects may assume the role.
    """

    description: str
    source_bucket: pulumi.Input[str]
    source_key: str
    buildspec: str
    environment: Mapping[str, pulumi.Input[str]]
    allows: Sequence[Allow]
    kms_key_arn: pulumi.Input[str]
    image: str
    compute_type: str
    timeout_minutes: int
    log_retention_days: int
    account_id: pulumi.Input[str]

    def __post_init__(self) -> None:
        if not MIN_TIMEOUT_MINUTES <= self.timeout_minutes <= MAX_TIMEOUT_MINUTES:
            raise ValueError(
                f"timeout_minutes {self.timeout_minutes}: CodeBuild takes "
                f"{MIN_TIMEOUT_MINUTES} to {MAX_TIMEOUT_MINUTES}"
            )


class CodeBuild(pulumi.ComponentResource):
    """CodeBuild project with its role and log group; builds upload their own results, so it has no artifacts.

    Creates: LogGroup, ServiceRole, Project.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    log_group_name: pulumi.Output[str]

    def __init__(self, name: str, args: CodeBuildArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:build:CodeBuild", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.kms_key_arn,
            opts=child,
        )
        role = ServiceRole(
            f"{name}-role",
            ServiceRoleArgs(
                service="codebuild.amazonaws.com",
                source_account=args.account_id,
                allows=[grant_write_log(log_group.arn), *args.allows],
            ),
            child,
        )
        project = aws.codebuild.Project(
            name,
            description=args.description,
            service_role=role.arn,
            encryption_key=args.kms_key_arn,
            build_timeout=args.timeout_minutes,
            queued_timeout=QUEUED_TIMEOUT_MINUTES,
            source={
                "type": "S3",
                "location": pulumi.Output.concat(args.source_bucket, "/", args.source_key),
                "buildspec": args.buildspec,
            },
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": args.image,
                "compute_type": args.compute_type,
                "image_pull_credentials_type": "CODEBUILD",
                "privileged_mode": False,
                "environment_variables": [
                    {"name": key, "value": value, "type": "PLAINTEXT"}
                    for key, value in sorted(args.environment.items())
                ],
            },
            logs_config={"cloudwatch_logs": {"status": "ENABLED", "group_name": log_group.name}},
            opts=child,
        )
        self.name = project.name
        self.arn = project.arn
        self.log_group_name = log_group.name
        self.register_outputs({"name": self.name, "arn": self.arn, "log_group_name": self.log_group_name})

    def grant_start_build(self) -> Allow:
        """Permission to start builds of this project; attach it to the caller's role."""
        return Allow(actions=["codebuild:StartBuild"], resources=[self.arn])
