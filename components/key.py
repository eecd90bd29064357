"""Customer-managed KMS key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam import Allow, document

# CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
LOGS_ACTIONS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
# EC2 user guide, "Service-linked role for Spot Instances": access to customer managed keys.
LAUNCHING_ACTIONS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
MIN_DELETION_WINDOW_DAYS, MAX_DELETION_WINDOW_DAYS = 7, 30  # KMS API, ScheduleKeyDeletion


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    """Arguments of `Key`.

    Attributes:
        alias: alias without the ``alias/`` prefix.
        services: service principals that may use the key and send `aws:SourceAccount`.
        unbound_services: service principals that may use the key and do not send `aws:SourceAccount`.
        launching_roles: service-linked roles that launch instances with encrypted volumes, as in their ARN.
        protect: Pulumi refuses to delete the key.
        deletion_window_days: waiting period of a deletion, 7 to 30.
    """

    alias: str
    services: Sequence[str] = ()
    unbound_services: Sequence[str] = ()
    launching_roles: Sequence[str] = ()
    protect: bool
    deletion_window_days: int = MAX_DELETION_WINDOW_DAYS

    def __post_init__(self) -> None:
        if not MIN_DELETION_WINDOW_DAYS <= self.deletion_window_days <= MAX_DELETION_WINDOW_DAYS:
            raise ValueError(f"deletion_window_days {self.deletion_window_days}: KMS takes 7 to 30")


class Key(pulumi.ComponentResource):
    """Symmetric KMS key with yearly rotation; CloudWatch Logs and the given services may use it.

    `partition`, `region` and `account_id` are parsed from the key's ARN, which saves a provider look-up.

    Creates: Key, Alias, KeyPolicy.
    """

    arn: pulumi.Output[str]
    account_id: pulumi.Output[str]
    region: pulumi.Output[str]
    partition: pulumi.Output[str]

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:security:Key", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            name,
            description=f"Encrypts the data of {args.alias}",
            enable_key_rotation=True,
            deletion_window_in_days=args.deletion_window_days,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(f"{name}-alias", name=f"alias/{args.alias}", target_key_id=key.key_id, opts=child)
        parts = key.arn.apply(lambda arn: arn.split(":"))  # arn:partition:kms:region:account:key/id
        self.partition, self.region, self.account_id = parts[1], parts[3], parts[4]
        key_policy = aws.kms.KeyPolicy(
            f"{name}-policy", key_id=key.key_id, policy=self._policy(args), opts=child
        )
        # CreateLogGroup fails until the key's policy allows CloudWatch Logs to use the key.
        self.arn = pulumi.Output.all(key.arn, key_policy.id).apply(lambda values: values[0])
        self.register_outputs({"arn": self.arn, "account_id": self.account_id, "region": self.region})

    def _policy(self, args: KeyArgs) -> pulumi.Output[str]:
        statements: list[dict[str, Any]] = [
            {
                # Without this statement IAM policies cannot grant the key, and the policy could not be
                # changed again (KMS developer guide, "Default key policy").
                "Sid": "IamDecides",
                "Effect": "Allow",
                "Principal": {
                    "AWS": pulumi.Output.format("arn:{0}:iam::{1}:root", self.partition, self.account_id)
                },
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Sid": "CloudWatchLogs",
                "Effect": "Allow",
                "Principal": {"Service": pulumi.Output.format("logs.{0}.amazonaws.com", self.region)},
                "Action": list(LOGS_ACTIONS),
                "Resource": "*",
                "Condition": {
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": pulumi.Output.format(
                            "arn:{0}:logs:{1}:{2}:*", self.partition, self.region, self.account_id
                        )
                    }
                },
            },
        ]
        for sid, services, condition in (
            ("ServicesOfTheAccount", args.services, {"StringEquals": {"aws:SourceAccount": self.account_id}}),
            ("UnboundServices", args.unbound_services, None),
        ):
            if services:
                statements.append(
                    {
                        "Sid": sid,
                        "Effect": "Allow",
                        "Principal": {"Service": sorted(services)},
                        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                        "Resource": "*",
                        **({"Condition": condition} if condition else {}),
                    }
                )
        if args.launching_roles:
            statements += self._launching(args.launching_roles)
        return document(statements)

    def _launching(self, roles: Sequence[str]) -> list[dict[str, Any]]:
        """Statements for service-linked roles, which no IAM policy can give permissions on the key.

        The roles are in conditions, because KMS refuses a role that does not exist yet as principal.
        """
        arns = [
            pulumi.Output.format("arn:{0}:iam::{1}:role/{2}", self.partition, self.account_id, role)
            for role in roles
        ]
        of_roles = {"StringEquals": {"aws:PrincipalArn": arns, "kms:CallerAccount": self.account_id}}
        statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Resource": "*"}
        return [
            {**statement, "Sid": "Launching", "Action": list(LAUNCHING_ACTIONS), "Condition": of_roles},
            {
                **statement,
                "Sid": "LaunchingGrants",
                "Action": ["kms:CreateGrant"],
                "Condition": {**of_roles, "Bool": {"kms:GrantIsForAWSResource": "true"}},
            },
        ]

    def resource_arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """ARN of a resource in the account and region of the key."""
        return pulumi.Output.format(
            "arn:{0}:{1}:{2}:{3}:{4}", self.partition, service, self.region, self.account_id, resource
        )

    def grant_encrypt_volumes(self) -> list[Allow]:
        """Permission to name the key for volumes: AWS services attach them with KMS grants of the caller."""
        return [
            Allow(actions=["kms:DescribeKey"], resources=[self.arn]),
            Allow(
                actions=["kms:CreateGrant"],
                resources=[self.arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]

    def grant_decrypt(self) -> Allow:
        """Permission to read what is encrypted with this key."""
        return Allow(actions=["kms:Decrypt"], resources=[self.arn])

    def grant_encrypt(self) -> Allow:
        """Permission to write data with this key; S3 decrypts the data key of a multipart upload."""
        return Allow(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[self.arn])
