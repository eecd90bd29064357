"""How a rollout goes: under alarms, its end written on the package, and what is tried again after it."""

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
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_MODEL, FakeSageMaker, refusal


def test_an_approved_package_is_rolled_out_blue_green_under_alarms(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
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
                },
                "AutoRollbackConfiguration": {
                    "Alarms": [{"AlarmName": "endpoint-errors"}, {"AlarmName": "endpoint-latency"}]
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
def test_the_stage_says_how_traffic_moves(logic: ModuleType, rollout: str, traffic: dict[str, Any]) -> None:
    config = logic.deployment_config(rollout, 25, 60, [])
    assert config["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == traffic
    assert "AutoRollbackConfiguration" not in config


def test_a_rollout_that_ends_is_written_on_its_package_and_nothing_else_is_lost(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    arn = deploy(fake, invoke)
    assert fake.metadata(arn)["deployment"] == "Deployed"
    assert fake.metadata(arn)["endpoint_config"] == fake.endpoint["EndpointConfigName"]
    assert fake.metadata(arn)["run_id"] == "20261123T020000Z"


def test_a_rollout_that_was_taken_back_is_not_tried_again_by_itself(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    good = deploy(fake, invoke)
    bad = fake.register()
    invoke(promotion(bad))
    fake.roll_back()
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert fake.metadata(bad)["deployment"] == "RolledBack"
    assert fake.metadata(good)["deployment"] == "Deployed"
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert len(fake.updates) == 2


def test_a_rolled_back_package_is_tried_again_when_a_person_approves_it_again(
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


def test_a_promotion_during_a_rollout_is_made_when_that_ends(fake: FakeSageMaker, invoke: Invoke) -> None:
    first = fake.register()
    invoke(promotion(first))
    second = fake.register()
    assert invoke(promotion(second))["status"] == "Deferred"
    fake.finish()
    answer = invoke(endpoint_changed())
    assert answer["status"] == "Deploying"
    assert answer["endpoint_config_name"].startswith(f"{ENDPOINT}-v2-")
    assert fake.metadata(first)["deployment"] == "Deployed"


def test_whoever_loses_a_race_for_the_endpoint_is_deferred_and_not_taken_for_rolled_back(
    fake: FakeSageMaker, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = fake.register()
    fake.create_endpoint_config(
        EndpointConfigName="by-hand", ProductionVariants=[{"ModelName": BOOTSTRAP_MODEL}]
    )

    begin = fake.update_endpoint

    def lose(**_request: Any) -> None:
        begin(EndpointConfigName="by-hand")
        raise refusal("UpdateEndpoint", "Cannot update in-progress endpoint.")

    with monkeypatch.context() as race:
        race.setattr(fake, "update_endpoint", lose)
        assert invoke(promotion(arn))["status"] == "Deferred"
    fake.finish()
    assert invoke(endpoint_changed())["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"


def test_an_update_that_is_refused_for_another_reason_is_an_error(
    fake: FakeSageMaker, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_request: Any) -> None:
        raise refusal("UpdateEndpoint", "The account-level service limit is 0 instances.")

    monkeypatch.setattr(fake, "update_endpoint", refuse)
    with pytest.raises(Exception, match="service limit"):
        invoke(promotion(fake.register()))


def test_a_request_that_never_reached_the_endpoint_is_made_again(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register()
    invoke(promotion(arn))
    # As if the first invocation had died between its note on the package and UpdateEndpoint.
    del fake.endpoint["PendingDeploymentSummary"]
    fake.endpoint |= {"EndpointStatus": "InService"}
    seen = fake.metadata(arn)["endpoint_seen"]
    fake.endpoint["LastModifiedTime"] = type(fake.clock).fromisoformat(seen)
    assert invoke(promotion(arn))["status"] == "Deploying"
    assert len(fake.updates) == 2


def test_another_endpoint_s_event_is_ignored(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.register()
    other = endpoint_changed()
    other["detail"]["EndpointName"] = "ncf-prod-2"
    assert invoke(other)["status"] == "Ignored"
    assert fake.updates == []


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_that_needs_a_person_is_an_error_that_says_so(
    fake: FakeSageMaker, invoke: Invoke, status: str
) -> None:
    fake.endpoint["EndpointStatus"] = status
    with pytest.raises(Exception, match=f"^endpoint {ENDPOINT} is {status}: it needs a person$"):
        invoke(promotion(fake.register()))
