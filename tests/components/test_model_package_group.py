"""The registry's group has a fixed name, and its packages an ARN of their own."""

import pytest

from components.model_package_group import ModelPackageGroup, ModelPackageGroupArgs
from tests import pulumi_engine


def test_packages_are_found_below_the_group() -> None:
    args = ModelPackageGroupArgs(group_name="NCF-dev", description="Models", protect=True)
    done = pulumi_engine.run(lambda: ModelPackageGroup("packages", args).packages_arn)
    assert done.values == "arn:aws:sagemaker:ap-northeast-2:123456789012:model-package/NCF-dev/*"
    group = done.one("aws:sagemaker/modelPackageGroup:ModelPackageGroup")
    assert group.inputs["modelPackageGroupName"] == "NCF-dev"
    assert group.protect


@pytest.mark.parametrize("name", ["NCF_dev", "-NCF", "NCF-", "N" * 64, ""])
def test_a_name_that_sagemaker_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(ValueError, match="63 at most"):
        ModelPackageGroupArgs(group_name=name, description="", protect=False)
