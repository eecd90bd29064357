"""Deletion of old endpoint configs and models after a rollout."""

from __future__ import annotations

from tests.lambdas.deploy_model.calls import Invoke, changed_approval, deploy, endpoint_changed, promotion
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_CONFIG, BOOTSTRAP_MODEL, FakeSageMaker


def test_configs_and_models_beyond_the_newest_are_deleted(fake: FakeSageMaker, invoke: Invoke) -> None:
    other = "ncf-prod-v2-v1-0a1b2c3d"  # of an endpoint called ncf-prod-v2
    fake.models["of-another-endpoint"] = {}
    fake.create_endpoint_config(
        EndpointConfigName=other, ProductionVariants=[{"ModelName": "of-another-endpoint"}]
    )
    arns = [deploy(fake, invoke) for _ in range(4)]
    kept = {fake.metadata(arn)["endpoint_config"] for arn in arns[-2:]}
    assert set(fake.configs) == {BOOTSTRAP_CONFIG, other, *kept}
    assert set(fake.models) == {BOOTSTRAP_MODEL, "of-another-endpoint", *kept}


def test_active_config_and_model_are_not_deleted(fake: FakeSageMaker, invoke: Invoke) -> None:
    serving = deploy(fake, invoke)
    for _ in range(3):  # three newer packages are rolled back
        invoke(promotion(fake.register()))
        fake.roll_back()
        invoke(endpoint_changed())
    in_use = fake.metadata(serving)["endpoint_config"]
    assert fake.endpoint["EndpointConfigName"] == in_use
    assert in_use in fake.configs
    assert in_use in fake.models


def test_nothing_is_deleted_during_a_rollout(fake: FakeSageMaker, invoke: Invoke) -> None:
    for _ in range(2):
        deploy(fake, invoke)
    n_configs = len(fake.configs)
    arn = fake.register()
    invoke(promotion(arn))
    invoke(endpoint_changed())
    assert len(fake.configs) == n_configs + 1


def test_config_that_a_rejection_returns_to_is_not_deleted(fake: FakeSageMaker, invoke: Invoke) -> None:
    previous, latest = deploy(fake, invoke), deploy(fake, invoke)
    for _ in range(3):  # newer configs, which are rolled back
        invoke(promotion(fake.register()))
        fake.roll_back()
        invoke(endpoint_changed())
    for arn in (previous, latest):
        config = fake.metadata(arn)["endpoint_config"]
        assert config in fake.configs
        assert config in fake.models
    fake.packages[latest]["ModelApprovalStatus"] = "Rejected"
    answer = invoke(changed_approval(latest, "Rejected"))
    assert answer["endpoint_config_name"] == fake.metadata(previous)["endpoint_config"]
