"""The endpoint serves the newest approved package; without an approval nothing is deployed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lambdas.deploy_model.calls import ENVIRONMENT, Invoke, changed_approval, deploy, promotion
from tests.lambdas.deploy_model.fake_sagemaker import BOOTSTRAP_CONFIG, GROUP_ARN, FakeSageMaker
from tests.lambdas.functions import event


def test_repeated_promotion_starts_no_second_rollout(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register()
    assert [invoke(promotion(arn))["status"] for _ in range(2)] == ["Deploying", "AlreadyDeploying"]
    fake.finish()
    assert invoke(promotion(arn))["status"] == "AlreadyDeployed"
    assert len(fake.updates) == 1


def test_pending_package_is_not_deployed(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.models["pipelines-model"] = {}
    arn = fake.register("PendingManualApproval")
    answer = invoke(promotion(arn, "pipelines-model"))
    assert answer == {"status": "AwaitingApproval", "endpoint_config_name": ""}
    assert fake.updates == []


def test_approval_deploys_the_model_of_the_pipeline(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.models["pipelines-model"] = {}
    arn = fake.register("PendingManualApproval")
    invoke(promotion(arn, "pipelines-model"))
    fake.packages[arn]["ModelApprovalStatus"] = "Approved"
    answer = invoke(changed_approval(arn))
    assert answer["status"] == "Deploying"
    assert fake.configs[answer["endpoint_config_name"]]["ProductionVariants"][0]["ModelName"] == (
        "pipelines-model"
    )


def test_package_without_a_model_gets_one_with_network_isolation(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register(model="deleted-since")
    name = invoke(promotion(arn))["endpoint_config_name"]
    assert fake.models[name] == {
        "ModelName": name,
        "Containers": [{"ModelPackageName": arn}],
        "ExecutionRoleArn": ENVIRONMENT["MODEL_ROLE_ARN"],
        "EnableNetworkIsolation": True,
    }


def test_older_package_does_not_replace_a_newer_one(fake: FakeSageMaker, invoke: Invoke) -> None:
    older = fake.register()
    deploy(fake, invoke)
    assert invoke(changed_approval(older))["status"] == "Superseded"
    assert len(fake.updates) == 1


def test_rejecting_the_deployed_package_deploys_the_previous_one(fake: FakeSageMaker, invoke: Invoke) -> None:
    before = deploy(fake, invoke)
    latest = deploy(fake, invoke)
    fake.packages[latest]["ModelApprovalStatus"] = "Rejected"
    answer = invoke(changed_approval(latest, "Rejected"))
    assert answer["status"] == "Deploying"
    assert answer["endpoint_config_name"] == fake.metadata(before)["endpoint_config"]


def test_endpoint_is_unchanged_without_an_approved_package(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register("Rejected")
    assert invoke(changed_approval(arn, "Rejected"))["status"] == "NothingApproved"
    assert invoke(promotion(arn))["status"] == "Rejected"
    assert fake.endpoint["EndpointConfigName"] == BOOTSTRAP_CONFIG


def test_metadata_update_is_ignored(fake: FakeSageMaker, invoke: Invoke) -> None:
    fake.register()
    assert invoke(event("model_package_annotated"))["status"] == "Ignored"
    assert fake.updates == []


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "neither model_package_arn nor detail"),
        ({"detail-type": "Object Created", "detail": {}}, "detail-type 'Object Created'"),
        ({"model_package_arn": None}, "model_package_arn is None"),
        ({"model_package_arn": "NCF-prod/1"}, "model_package_arn is 'NCF-prod/1'"),
        ({"model_package_arn": f"{GROUP_ARN}-2/1"}, "group NCF-prod-2, not of NCF-prod"),
        ({"model_package_arn": f"{GROUP_ARN}/1", "model_name": 7}, "model_name is 7"),
    ],
)
def test_invalid_payload_is_refused(invoke: Invoke, payload: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        invoke(payload)
