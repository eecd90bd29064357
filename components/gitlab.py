"""GitLab as OpenID Connect provider of an AWS account, and roles that jobs of one GitLab project assume."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.iam import document

# `aud` of the ID tokens that .gitlab-ci.yml requests.
AUDIENCE = "sts.amazonaws.com"
ISSUER = re.compile(r"https://[a-z0-9.-]+(?::\d+)?(?:/[\w./-]*[\w-])?")
PROJECT = re.compile(r"[\w.-]+(?:/[\w.-]+)+")
BRANCH = re.compile(r"[\w./-]+")  # no wildcard of IAM's StringLike


@dataclass(frozen=True, kw_only=True)
class GitLabProviderArgs:
    """Arguments of `GitLabProvider`.

    Attributes:
        url: the GitLab instance, which issues the tokens.
    """

    url: str = "https://gitlab.com"

    def __post_init__(self) -> None:
        if not ISSUER.fullmatch(self.url):
            raise ValueError(f"url {self.url!r}: write an https URL without a final slash")


class GitLabProvider(pulumi.ComponentResource):
    """OpenID Connect provider for the ID tokens of a GitLab instance; an account has at most one per URL.

    `partition` and `account_id` are parsed from the provider's ARN, which saves a provider look-up.

    Creates: OpenIdConnectProvider.
    """

    arn: pulumi.Output[str]
    partition: pulumi.Output[str]
    account_id: pulumi.Output[str]
    issuer: str  # prefix of the condition keys in trust policies

    def __init__(
        self, name: str, args: GitLabProviderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:ci:GitLabProvider", name, None, opts)
        provider = aws.iam.OpenIdConnectProvider(
            name, url=args.url, client_id_lists=[AUDIENCE], opts=pulumi.ResourceOptions(parent=self)
        )
        self.arn = provider.arn
        parts = provider.arn.apply(lambda arn: arn.split(":"))  # arn:partition:iam::account:oidc-provider/…
        self.partition, self.account_id = parts[1], parts[4]
        self.issuer = args.url.removeprefix("https://")
        self.register_outputs({"arn": self.arn})

    def trust(self, project: str, branch: str | None) -> pulumi.Output[str]:
        """Trust policy for the jobs of a project on one branch; None: on every branch, but not on tags.

        GitLab sets `sub` (GitLab documentation, "ID token authentication"): in a merge request pipeline,
        `ref` is the source branch. Pipelines of a fork have the fork's project path.
        """
        conditions = {"StringEquals": {f"{self.issuer}:aud": AUDIENCE}}
        subject = f"project_path:{project}:ref_type:branch:ref:"
        if branch is None:
            conditions["StringLike"] = {f"{self.issuer}:sub": f"{subject}*"}
        else:
            conditions["StringEquals"][f"{self.issuer}:sub"] = f"{subject}{branch}"
        return document(
            [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": self.arn},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": conditions,
                }
            ]
        )


@dataclass(frozen=True, kw_only=True)
class GitLabRoleArgs:
    """Arguments of `GitLabRole`.

    Attributes:
        provider: issuer of the tokens.
        project: path of the project, such as ``group/project``.
        branch: branch whose jobs may assume the role; None for every branch, merge requests included.
        policies: name to policy document.
        description: purpose of the role.
    """

    provider: GitLabProvider
    project: str
    branch: str | None
    policies: dict[str, pulumi.Input[str]]
    description: str

    def __post_init__(self) -> None:
        for field, value, pattern in (("project", self.project, PROJECT), ("branch", self.branch, BRANCH)):
            if value is not None and not pattern.fullmatch(value):
                raise ValueError(f"{field} {value!r}: write the exact name, without wildcards")


class GitLabRole(pulumi.ComponentResource):
    """IAM role for jobs of one GitLab project.

    Creates: Role, RolePolicy (one per policy).
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: GitLabRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:ci:GitLabRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            description=args.description,
            assume_role_policy=args.provider.trust(args.project, args.branch),
            opts=child,
        )
        for label, policy in args.policies.items():
            aws.iam.RolePolicy(f"{name}-{label}", role=role.name, policy=policy, opts=child)
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})
