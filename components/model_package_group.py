"""SageMaker model package group."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.iam import Allow

GROUP_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # SageMaker API, CreateModelPackageGroup


@dataclass(frozen=True, kw_only=True)
class ModelPackageGroupArgs:
    """Arguments of `ModelPackageGroup`.

    Attributes:
        group_name: fixed, because the pipeline and `deploy_model` look the group up by name.
        description: description of the group.
        protect: Pulumi refuses to delete the group, which holds the approval history.
    """

    group_name: str
    description: str
    protect: bool

    def __post_init__(self) -> None:
        if not GROUP_NAME.fullmatch(self.group_name):
            raise ValueError(f"group_name {self.group_name!r}: letters, digits and inner hyphens, 63 at most")


class ModelPackageGroup(pulumi.ComponentResource):
    """Model package group, whose packages are candidates and champions.

    Creates: ModelPackageGroup.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    packages_arn: pulumi.Output[str]  # pattern that matches every package of the group

    def __init__(
        self, name: str, args: ModelPackageGroupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("ncf:registry:ModelPackageGroup", name, None, opts)
        group = aws.sagemaker.ModelPackageGroup(
            name,
            model_package_group_name=args.group_name,
            model_package_group_description=args.description,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.name = group.model_package_group_name
        self.arn = group.arn
        # The packages of arn:…:model-package-group/NCF are arn:…:model-package/NCF/1, 2, …
        self.packages_arn = group.arn.apply(
            lambda arn: arn.replace(":model-package-group/", ":model-package/") + "/*"
        )
        self.register_outputs({"name": self.name, "arn": self.arn})

    def grant_read(self) -> Allow:
        """Permission to describe and list the group's packages."""
        return self._grant_packages("sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages")

    def grant_update(self) -> Allow:
        """Permission to read the group's packages and to change their approval status and metadata."""
        return self._grant_packages(
            "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages", "sagemaker:UpdateModelPackage"
        )

    def grant_register(self) -> list[Allow]:
        """Permissions to create packages in the group and to describe them."""
        return [
            Allow(actions=["sagemaker:CreateModelPackage"], resources=[self.arn, self.packages_arn]),
            Allow(actions=["sagemaker:DescribeModelPackageGroup"], resources=[self.arn]),
            self._grant_packages("sagemaker:DescribeModelPackage"),
        ]

    def _grant_packages(self, *actions: str) -> Allow:
        """Permission on the group's packages; SageMaker returns some of their ARNs in lower case."""
        return Allow(actions=actions, resources=[self.packages_arn, self.packages_arn.apply(str.lower)])
