"""Roles of CI in one account: preview, deploy and publish, one of each per stage."""

from __future__ import annotations

import pulumi

from account.config import AccountConfig
from account.deployment import Account, deployment_policy
from components.gitlab import GitLabProvider, GitLabProviderArgs, GitLabRole, GitLabRoleArgs
from components.iam import Allow, PrincipalRole, PrincipalRoleArgs, policy
from ml.contract import CODE_BUNDLE_KEY

PROJECT = "ncf"  # name in the Pulumi.yaml of the stages: part of the keys of their states and of names


class AccountRoles(pulumi.ComponentResource):
    """GitLab's identity provider and the roles of CI.

    A merge request runs code that nobody has reviewed. Its role only reads the state of the stage: `pulumi
    preview` compares the program with the state and makes no calls for the resources themselves.

    Creates: GitLabProvider; per stage GitLabRole (preview, deploy), and PrincipalRole (publish) with Jenkins.
    """

    outputs: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, config: AccountConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:ci:AccountRoles", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._config = config
        self._gitlab = GitLabProvider("gitlab", GitLabProviderArgs(url=config.gitlab.url), child)
        self.outputs = {"provider_arn": self._gitlab.arn}
        for stage in config.stages:
            self.outputs[f"{stage}_preview_role_arn"] = self._gitlab_role(
                f"{stage}-preview",
                None,
                {"state": policy(self._read_state(stage))},
                f"GitLab merge requests: pulumi preview of {stage}",
            )
            self.outputs[f"{stage}_deploy_role_arn"] = self._gitlab_role(
                f"{stage}-deploy",
                config.gitlab.branch,
                {"state": policy(self._write_state(stage)), "stage": self._deployment(stage)},
                f"GitLab branch {config.gitlab.branch}: pulumi up of {stage}",
            )
            if config.jenkins_principal_arn:
                role = PrincipalRole(
                    f"{stage}-publish",
                    PrincipalRoleArgs(
                        principal_arn=config.jenkins_principal_arn, allows=self._publish(stage)
                    ),
                    child,
                )
                self.outputs[f"{stage}_publish_role_arn"] = role.arn
        self.register_outputs(self.outputs)

    def _gitlab_role(
        self, name: str, branch: str | None, policies: dict[str, pulumi.Input[str]], description: str
    ) -> pulumi.Output[str]:
        role = GitLabRole(
            name,
            GitLabRoleArgs(
                provider=self._gitlab,
                project=self._config.gitlab.project,
                branch=branch,
                policies=policies,
                description=description,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return role.arn

    def _deployment(self, stage: str) -> pulumi.Output[str]:
        region = self._config.region
        return pulumi.Output.all(self._gitlab.partition, self._gitlab.account_id).apply(
            lambda values: deployment_policy(
                Account(partition=values[0], region=region, account_id=values[1]), PROJECT, stage
            )
        )

    def _state_arn(self, key: str = "") -> pulumi.Output[str]:
        """ARN of the state bucket, or of objects in it."""
        path = f"/.pulumi/{key}" if key else ""
        return pulumi.Output.format(
            "arn:{0}:s3:::{1}{2}", self._gitlab.partition, self._config.state.bucket, path
        )

    def _read_state(self, stage: str) -> list[Allow]:
        return [
            # Pulumi checks that the bucket is accessible with a list without a prefix.
            Allow(actions=["s3:ListBucket"], resources=[self._state_arn()]),
            Allow(
                actions=["s3:GetObject"],
                resources=[self._state_arn("meta.yaml"), self._state_arn(f"stacks/{PROJECT}/{stage}.*")],
            ),
            Allow(actions=["kms:Decrypt"], resources=[self._config.state.key_arn]),
        ]

    def _write_state(self, stage: str) -> list[Allow]:
        return [
            *self._read_state(stage),
            Allow(
                actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                resources=[
                    self._state_arn(f"stacks/{PROJECT}/{stage}.*"),
                    self._state_arn(f"locks/organization/{PROJECT}/{stage}/*"),
                    self._state_arn(f"history/{PROJECT}/{stage}/*"),
                    self._state_arn(f"backups/{PROJECT}/{stage}/*"),
                ],
            ),
            Allow(actions=["kms:Encrypt", "kms:GenerateDataKey"], resources=[self._config.state.key_arn]),
        ]

    def _publish(self, stage: str) -> list[Allow]:
        """Permission to upload the code bundle; bucket and key have random parts in their names."""
        gitlab = self._gitlab
        keys = pulumi.Output.format(
            "arn:{0}:kms:{1}:{2}:key/*", gitlab.partition, self._config.region, gitlab.account_id
        )
        objects = pulumi.Output.format(
            "arn:{0}:s3:::{1}-{2}-artifacts-*/{3}", gitlab.partition, PROJECT, stage, CODE_BUNDLE_KEY
        )
        return [
            Allow(actions=["s3:PutObject"], resources=[objects]),
            Allow(
                actions=["kms:GenerateDataKey"],
                resources=[keys],
                conditions={
                    "StringEquals": {
                        "aws:ResourceTag/Stage": stage,
                        "kms:ViaService": f"s3.{self._config.region}.amazonaws.com",
                    }
                },
            ),
        ]
