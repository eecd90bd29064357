"""Rollouts: alarms, outcomes in the package metadata, and repeated attempts."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from ml import contract
from tests.lambdas.deploy_model.calls import (
    ENDPOINT,
    ENVIRONMENT,
    Invoke,
    changed_approval,
    deploy,
    endpoint_changed,
    promotion,
)
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_MODEL, FakeSageMaker, validation_error


def test_approved_package_is_rolled_out_blue_green_with_alarms(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.models["pipelines-4o3rm9c4bf1x-NCFCreateModel-a"] = {}
    answer = invoke(promotion(fake.register(), "pipelines-4o3rm9c4bf1x-NCFCreateModel-a"))
    assert answer["status"] == "Deploying"
    config = fake.configs[answer["endpoint_config_name"]]
    assert config["KmsKeyId"] == ENVIRONMENT["KMS_KEY_ARN"]
    (variant,) = config["ProductionVariants"]
    assert variant["VariantName"] == contract.VARIANT_NAME
    assert variant["ModelName"] == "pipelines-4o3rm9c4bf1x-NCFCreateModel-a"
    assert (variant["InstanceType"], variant["InitialInstanceCount"]) == ("ml.m5.large", 2)
    assert fake.updates == [
        {
            "EndpointName": ENDPOINT,
            "EndpointConfigName": answer["endpoint_config_name"],
            "RetainAllVariantProperties": True,
            "DeploymentConfig": {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {
                        "Type": "CANARY",
                        "WaitIntervalInSeconds": 300,
                        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
                    },
                    "TerminationWaitInSeconds": 300,
                    "MaximumExecutionTimeoutInSeconds": 2400,
                },
                "AutoRollbackConfiguration": {
                    "Alarms": [{"AlarmName": "rollout-errors"}, {"AlarmName": "rollout-answers"}]
                },
            },
        }
    ]


@pytest.mark.parametrize(
    ("rollout", "traffic"),
    [
        ("all_at_once", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}),
        (
            "linear",
            {
                "Type": "LINEAR",
                "WaitIntervalInSeconds": 60,
                "LinearStepSize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
        ),
    ],
)
def test_rollout_setting_selects_the_traffic_routing(
    logic: ModuleType, rollout: str, traffic: dict[str, Any]
) -> None:
    config = logic.deployment_config(rollout, 25, 60, [])
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == traffic
    assert "AutoRollbackConfiguration" not in config


def test_end_of_a_rollout_is_added_to_the_package_metadata(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = deploy(fake, invoke)
    assert fake.metadata(arn)["deployment"] == "Deployed"
    assert fake.metadata(arn)["endpoint_config"] == fake.endpoint["EndpointConfigName"]
    assert fake.metadata(arn)["run_id"] == "20261123T020000Z"


def test_rolled_back_package_is_not_deployed_again_automatically(fake: FakeSageMaker, invoke: Invoke) -> None:
    good = deploy(fake, invoke)
    bad = fake.register()
    invoke(promotion(bad))
    fake.roll_back()
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert fake.metadata(bad)["deployment"] == "RolledBack"
    assert fake.metadata(good)["deployment"] == "Deployed"
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert len(fake.updates) == 2


def test_rolled_back_package_is_deployed_again_after_a_new_approval(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    fake.roll_back()
    invoke(endpoint_changed())
    assert invoke(changed_approval(arn))["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"


def test_promotion_during_a_rollout_is_deferred_until_its_end(fake: FakeSageMaker, invoke: Invoke) -> None:
    first = fake.register()
    invoke(promotion(first))
    second = fake.register()
    assert invoke(promotion(second))["status"] == "Deferred"
    fake.finish()
    answer = invoke(endpoint_changed())
    assert answer["status"] == "Deploying"
    assert answer["endpoint_config_name"].startswith(f"{ENDPOINT}-v2-")
    assert fake.metadata(first)["deployment"] == "Deployed"


def test_concurrent_update_is_deferred(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register()
    fake.create_endpoint_config(
        EndpointConfigName="by-hand", ProductionVariants=[{"ModelName": BOOTSTRAP_MODEL}]
    )
    fake.concurrent_config = "by-hand"
    assert invoke(promotion(arn))["status"] == "Deferred"
    fake.concurrent_config = None
    fake.finish()
    assert invoke(endpoint_changed())["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"


def test_refused_update_is_an_error(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.update_error = validation_error("UpdateEndpoint", "The account-level service limit is 0 instances.")
    with pytest.raises(Exception, match="service limit"):
        invoke(promotion(fake.register()))


def test_request_without_a_started_rollout_is_repeated(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    # State after an invocation that ended between the metadata update and UpdateEndpoint.
    del fake.endpoint["PendingDeploymentSummary"]
    fake.endpoint |= {"EndpointStatus": "InService"}
    seen = fake.metadata(arn)["endpoint_seen"]
    fake.endpoint["LastModifiedTime"] = type(fake.clock).fromisoformat(seen)
    assert invoke(promotion(arn))["status"] == "Deploying"
    assert len(fake.updates) == 2


def test_event_of_another_endpoint_is_ignored(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.register()
    other = endpoint_changed()
    other["detail"]["EndpointName"] = "ncf-prod-2"
    assert invoke(other)["status"] == "Ignored"
    assert fake.updates == []


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_endpoint_that_requires_an_operator_is_an_error(
    fake: FakeSageMaker, invoke: Invoke, status: str
) -> None:
    fake.endpoint["EndpointStatus"] = status
    with pytest.raises(
        Exception, match=f"^endpoint {ENDPOINT} is {status}: an operator must repair or delete it$"
    ):
        invoke(promotion(fake.register()))
