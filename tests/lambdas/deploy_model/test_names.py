"""Names of endpoint configs and models: deterministic, of valid length, recognised for one endpoint only."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lambdas.deploy_model.calls import ENDPOINT
from tests.lambdas.deploy_model.fake_sagemaker import GROUP_ARN


@given(
    endpoint=st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,44}", fullmatch=True),
    version=st.integers(1, 9_999_999),  # with more digits, a name of 45 characters is too long
)
def test_name_is_within_the_limit_and_recognised_for_its_endpoint_only(
    logic: ModuleType, endpoint: str, version: int
) -> None:
    package = logic.Package(f"{GROUP_ARN}/{version}", version, "Approved", {})
    variant = logic.Variant("AllTraffic", "ml.m5.large", 1, "key")
    name = logic.resource_name(endpoint[:45], package, variant)
    assert len(name) <= logic.MAX_NAME
    assert logic.is_managed_config(name, endpoint[:45])
    assert not logic.is_managed_config(f"x{name}", endpoint[:45])
    assert not logic.is_managed_config(f"{name}0", endpoint[:45])
    assert name == logic.resource_name(endpoint[:45], package, variant)


def test_instance_type_changes_the_name(logic: ModuleType) -> None:
    package = logic.Package(f"{GROUP_ARN}/1", 1, "Approved", {})
    names = {
        logic.resource_name(ENDPOINT, package, logic.Variant("AllTraffic", instance, 1, "key"))
        for instance in ("ml.m5.large", "ml.c5.large")
    }
    assert len(names) == 2


def test_too_long_endpoint_name_is_refused(logic: ModuleType) -> None:
    package = logic.Package(f"{GROUP_ARN}/1", 1, "Approved", {})
    with pytest.raises(ValueError, match="too long"):
        logic.resource_name("e" * 60, package, logic.Variant("AllTraffic", "ml.m5.large", 1, "key"))
