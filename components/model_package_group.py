"""The model registry's group."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

GROUP_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")  # SageMaker API, CreateModelPackageGroup


@dataclass(frozen=True, kw_only=True)
class ModelPackageGroupArgs:
    """What a model package group needs to know.

    Args:
        group_name: fixed, as others look the group up by it.
        description: whose models these are.
        protect: refuse to delete the group, and with it the history of what was approved.
    """

    group_name: str
    description: str
    protect: bool

    def __post_init__(self) -> None:
        if not GROUP_NAME.fullmatch(self.group_name):
            raise ValueError(f"group_name {self.group_name!r}: letters, digits and inner hyphens, 63 at most")


class ModelPackageGroup(pulumi.ComponentResource):
    """The group whose packages are candidates and champions."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    packages_arn: pulumi.Output[str]

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
        # arn:…:model-package-group/NCF holds arn:…:model-package/NCF/1, 2, …
        self.packages_arn = group.arn.apply(
            lambda arn: arn.replace(":model-package-group/", ":model-package/") + "/*"
        )
        self.register_outputs({"name": self.name, "arn": self.arn})
