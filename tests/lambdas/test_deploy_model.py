"""Rules of deploy_model: the endpoint serves the newest approved package that was not rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import contract
from tests.lambdas.fake_sagemaker import BOOTSTRAP_CONFIG, BOOTSTRAP_MODEL, GROUP_ARN, FakeSageMaker, refusal
from tests.lambdas.functions import FakeContext, event, load

ENDPOINT = "ncf-prod"
ENVIRONMENT = {
    "ENDPOINT_NAME": ENDPOINT,
    "MODEL_PACKAGE_GROUP": "NCF-prod",
    "MODEL_ROLE_ARN": "arn:aws:iam::123456789012:role/endpoint-model",
    "VARIANT_NAME": contract.VARIANT_NAME,
    "INSTANCE_TYPE": "ml.m5.large",
    "INITIAL_INSTANCE_COUNT": "2",
    "KMS_KEY_ARN": "arn:aws:kms:ap-northeast-2:123456789012:key/5c1f0c1d",
    "ROLLOUT": "canary",
    "STEP_PERCENT": "10",
    "WAIT_S": "300",
    "ALARM_NAMES": json.dumps(["endpoint-errors", "endpoint-latency"]),
    "KEEP_LAST": "2",
}

Invoke = Callable[[dict[str, Any]], dict[str, str]]


@pytest.fixture
def fake() -> FakeSageMaker:
    return FakeSageMaker(ENDPOINT)


@pytest.fixture
def invoke(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    module = load("deploy_model", "handler", monkeypatch, ENVIRONMENT)
    monkeypatch.setattr(module.sagemaker, "_client", fake)
    return lambda payload: module.handler(payload, FakeContext())


def promotion(arn: str, model_name: str | None = None) -> dict[str, Any]:
    return {"model_package_arn": arn} | ({"model_name": model_name} if model_name else {})


def changed_approval(arn: str, approval: str = "Approved") -> dict[str, Any]:
    found = event("model_package_approved")
    found["detail"] |= {"ModelPackageArn": arn, "ModelApprovalStatus": approval}
    return found


def endpoint_changed() -> dict[str, Any]:
    return event("endpoint_in_service")


def deploy(fake: FakeSageMaker, invoke: Invoke) -> str:
    """A new approved package, deployed; its ARN."""
    arn = fake.register()
    assert invoke(promotion(arn))["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    return arn


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


def test_asking_again_begins_no_second_rollout(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register()
    assert [invoke(promotion(arn))["status"] for _ in range(2)] == ["Deploying", "AlreadyDeploying"]
    fake.finish()
    assert invoke(promotion(arn))["status"] == "AlreadyDeployed"
    assert len(fake.updates) == 1


def test_a_rollout_that_ends_is_written_on_its_package_and_nothing_else_is_lost(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    arn = deploy(fake, invoke)
    assert fake.metadata(arn)["deployment"] == "Deployed"
    assert fake.metadata(arn)["endpoint_config"] == fake.endpoint["EndpointConfigName"]
    assert fake.metadata(arn)["run_id"] == "20261123T020000Z"


def test_a_package_that_waits_for_approval_leaves_the_endpoint_alone(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    fake.models["pipelines-model"] = {}
    arn = fake.register("PendingManualApproval")
    answer = invoke(promotion(arn, "pipelines-model"))
    assert answer == {"status": "AwaitingApproval", "endpoint_config_name": ""}
    assert fake.updates == []


def test_an_approval_deploys_the_model_that_the_pipeline_made(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.models["pipelines-model"] = {}
    arn = fake.register("PendingManualApproval")
    invoke(promotion(arn, "pipelines-model"))
    fake.packages[arn]["ModelApprovalStatus"] = "Approved"
    answer = invoke(changed_approval(arn))
    assert answer["status"] == "Deploying"
    assert fake.configs[answer["endpoint_config_name"]]["ProductionVariants"][0]["ModelName"] == (
        "pipelines-model"
    )


def test_a_package_without_a_model_gets_one_in_isolation(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register(model="deleted-since")
    name = invoke(promotion(arn))["endpoint_config_name"]
    assert fake.models[name] == {
        "ModelName": name,
        "Containers": [{"ModelPackageName": arn}],
        "ExecutionRoleArn": ENVIRONMENT["MODEL_ROLE_ARN"],
        "EnableNetworkIsolation": True,
    }


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


def test_an_older_package_does_not_replace_a_newer_one(fake: FakeSageMaker, invoke: Invoke) -> None:
    older = fake.register()
    deploy(fake, invoke)
    assert invoke(changed_approval(older))["status"] == "Superseded"
    assert len(fake.updates) == 1


def test_rejecting_the_package_in_use_brings_the_one_before_it_back(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    before = deploy(fake, invoke)
    latest = deploy(fake, invoke)
    fake.packages[latest]["ModelApprovalStatus"] = "Rejected"
    answer = invoke(changed_approval(latest, "Rejected"))
    assert answer["status"] == "Deploying"
    assert answer["endpoint_config_name"] == fake.metadata(before)["endpoint_config"]


def test_without_an_approved_package_the_endpoint_stays_as_it_is(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register("Rejected")
    assert invoke(changed_approval(arn, "Rejected"))["status"] == "NothingApproved"
    assert invoke(promotion(arn))["status"] == "Rejected"
    assert fake.endpoint["EndpointConfigName"] == BOOTSTRAP_CONFIG


def test_configs_and_models_beyond_the_last_ones_are_deleted(fake: FakeSageMaker, invoke: Invoke) -> None:
    other = "ncf-prod-v2-v1-0a1b2c3d"  # of an endpoint called ncf-prod-v2
    fake.models["of-another-endpoint"] = {}
    fake.create_endpoint_config(
        EndpointConfigName=other, ProductionVariants=[{"ModelName": "of-another-endpoint"}]
    )
    arns = [deploy(fake, invoke) for _ in range(4)]
    kept = {fake.metadata(arn)["endpoint_config"] for arn in arns[-2:]}
    assert set(fake.configs) == {BOOTSTRAP_CONFIG, other, *kept}
    assert set(fake.models) == {BOOTSTRAP_MODEL, "of-another-endpoint", *kept}


def test_what_is_in_use_is_never_deleted(fake: FakeSageMaker, invoke: Invoke) -> None:
    serving = deploy(fake, invoke)
    for _ in range(3):  # three newer ones are all taken back
        invoke(promotion(fake.register()))
        fake.roll_back()
        invoke(endpoint_changed())
    in_use = fake.metadata(serving)["endpoint_config"]
    assert fake.endpoint["EndpointConfigName"] == in_use
    assert in_use in fake.configs
    assert in_use in fake.models


def test_nothing_is_deleted_while_a_rollout_is_under_way(fake: FakeSageMaker, invoke: Invoke) -> None:
    for _ in range(2):
        deploy(fake, invoke)
    n_configs = len(fake.configs)
    arn = fake.register()
    invoke(promotion(arn))
    invoke(endpoint_changed())
    assert len(fake.configs) == n_configs + 1


def test_writing_on_a_package_is_no_approval(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.register()
    assert invoke(event("model_package_annotated"))["status"] == "Ignored"
    assert fake.updates == []


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


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ({}, "neither model_package_arn nor detail"),
        ({"detail-type": "Object Created", "detail": {}}, "detail-type 'Object Created'"),
        ({"model_package_arn": None}, "model_package_arn is None"),
        ({"model_package_arn": "NCF-prod/1"}, "model_package_arn is 'NCF-prod/1'"),
        ({"model_package_arn": f"{GROUP_ARN}-2/1"}, "group NCF-prod-2, not of NCF-prod"),
        ({"model_package_arn": f"{GROUP_ARN}/1", "model_name": 7}, "model_name is 7"),
    ],
)
def test_a_payload_of_another_kind_is_refused(
    invoke: Invoke, payload: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        invoke(payload)


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


@pytest.fixture(scope="module")
def logic() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield load("deploy_model", "logic", monkeypatch)


@given(
    endpoint=st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,44}", fullmatch=True),
    version=st.integers(1, 99_999_999),
)
def test_a_name_is_ours_within_the_limit_and_of_this_endpoint_only(
    logic: ModuleType, endpoint: str, version: int
) -> None:
    package = logic.Package(f"{GROUP_ARN}/{version}", version, "Approved", {})
    variant = logic.Variant("AllTraffic", "ml.m5.large", 1, "key")
    name = logic.resource_name(endpoint[:45], package, variant)
    assert len(name) <= logic.MAX_NAME
    assert logic.is_ours(name, endpoint[:45])
    assert not logic.is_ours(f"x{name}", endpoint[:45])
    assert not logic.is_ours(f"{name}0", endpoint[:45])
    assert name == logic.resource_name(endpoint[:45], package, variant)


def test_another_instance_type_is_another_config(logic: ModuleType) -> None:
    package = logic.Package(f"{GROUP_ARN}/1", 1, "Approved", {})
    names = {
        logic.resource_name(ENDPOINT, package, logic.Variant("AllTraffic", instance, 1, "key"))
        for instance in ("ml.m5.large", "ml.c5.large")
    }
    assert len(names) == 2


def test_an_endpoint_name_that_leaves_no_room_is_refused(logic: ModuleType) -> None:
    package = logic.Package(f"{GROUP_ARN}/1", 1, "Approved", {})
    with pytest.raises(ValueError, match="too long"):
        logic.resource_name("e" * 60, package, logic.Variant("AllTraffic", "ml.m5.large", 1, "key"))
