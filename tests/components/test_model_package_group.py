"""Model package group: fixed name and the ARN of its packages."""

import pytest

from components.model_package_group import ModelPackageGroup, ModelPackageGroupArgs
from tests import pulumi_engine


def test_packages_arn_matches_the_packages_of_the_group() -> None:
    args = ModelPackageGroupArgs(group_name="NCF-dev", description="Models", protect=True)
    done = pulumi_engine.run(lambda: ModelPackageGroup("packages", args).packages_arn)
    assert done.values == "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package/NCF-dev/*"
    group = done.one("aws:sagemaker/modelPackageGroup:ModelPackageGroup")
    assert group.inputs["modelPackageGroupName"] == "NCF-dev"
    assert group.protect


@pytest.mark.parametrize("name", ["NCF_dev", "-NCF", "NCF-", "N" * 64, ""])
def test_invalid_group_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="63 at most"):
        ModelPackageGroupArgs(group_name=name, description="", protect=False)
