"""Placeholders of the Terraform configuration, without Terraform."""

from __future__ import annotations

from local.preview import ARN_FORMS
from tests.terraform.configuration import arn_of


def test_arns_of_two_resources_of_a_type_differ() -> None:
    modules = [*(key if "/" in key else f"{key}/thing" for key in ARN_FORMS), "kms/key"]
    for module in modules:
        arns = {arn_of(f"aws:{module}:Thing", "ap-northeast-2", name) for name in ("ref1zarnz", "ref2zarnz")}
        assert len(arns) == 2, module
        assert not any("$" in arn for arn in arns), module
