"""Alarms of a rollout: which fleets they compare, and a rollout whose package is rejected."""

from __future__ import annotations

import pytest

from tests.lambdas.deploy_model.calls import Invoke, changed_approval, deploy, endpoint_changed, promotion
from tests.lambdas.deploy_model.fake_cloudwatch import FakeCloudWatch
from tests.lambdas.deploy_model.fake_sagemaker import FakeSageMaker

FIRST, SECOND = "20261123T020000Z", "20261124T020000Z"


def test_alarms_compare_the_new_config_with_the_old_one(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    old = fake.metadata(deploy(fake, invoke))["endpoint_config"]
    new = invoke(promotion(fake.register(run_id=SECOND)))["endpoint_config_name"]
    for name in cloudwatch.alarms:
        of_config = {"EndpointName": "ncf-prod"}
        assert cloudwatch.watched(name, "new_requests") == {**of_config, "EndpointConfigName": new}
        assert cloudwatch.watched(name, "old_requests") == {**of_config, "EndpointConfigName": old}
        assert cloudwatch.watched(name, "new_answers")["ModelVersion"] == SECOND
        assert cloudwatch.watched(name, "unknown_bad")["ModelVersion"] == "unknown"


def test_first_package_is_compared_with_the_bootstrap_model(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    bootstrap = fake.endpoint["EndpointConfigName"]
    invoke(promotion(fake.register()))
    assert cloudwatch.watched("rollout-errors", "old_requests")["EndpointConfigName"] == bootstrap
    assert cloudwatch.watched("rollout-errors", "new_answers")["ModelVersion"] == FIRST


def test_alarm_of_an_earlier_rollout_does_not_roll_back_the_next(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    invoke(promotion(fake.register()))
    cloudwatch.alarms["rollout-errors"]["StateValue"] = "ALARM"
    fake.roll_back()
    invoke(endpoint_changed())
    assert invoke(promotion(fake.register()))["status"] == "Deploying"
    assert cloudwatch.states() == {"OK"}


def test_alarms_follow_the_rollout_that_is_in_progress(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    config = invoke(promotion(fake.register()))["endpoint_config_name"]
    # As another invocation leaves them, whose UpdateEndpoint came too late.
    for alarm in cloudwatch.alarms.values():
        alarm["Metrics"][0]["MetricStat"]["Metric"]["Dimensions"][1]["Value"] = "another"
    invoke(endpoint_changed())
    assert cloudwatch.watched("rollout-errors", "new_requests")["EndpointConfigName"] == config


def test_repeated_event_does_not_end_the_alarm_of_a_rollout(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    invoke(promotion(fake.register()))
    cloudwatch.alarms["rollout-errors"]["StateValue"] = "ALARM"
    invoke(endpoint_changed())
    assert cloudwatch.alarms["rollout-errors"]["StateValue"] == "ALARM"


def test_rejection_during_its_rollout_rolls_a_package_back(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    before = fake.metadata(deploy(fake, invoke))["endpoint_config"]
    arn = fake.register()
    invoke(promotion(arn))
    fake.packages[arn]["ModelApprovalStatus"] = "Rejected"
    for _ in range(2):  # events may be repeated
        assert invoke(changed_approval(arn, "Rejected"))["status"] == "Withdrawn"
    assert cloudwatch.alarms["rollout-errors"]["StateValue"] == "ALARM"
    # The following evaluations find no data, or filled metrics.
    for value in (None, 0.0):
        cloudwatch.evaluate("rollout-errors", value)
        assert cloudwatch.alarms["rollout-errors"]["StateValue"] == "ALARM"
    fake.roll_back()
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert fake.endpoint["EndpointConfigName"] == before
    assert fake.metadata(arn)["deployment"] == "RolledBack"
    for value in (None, 0.0):
        cloudwatch.evaluate("rollout-errors", value)
        assert cloudwatch.states() == {"OK"}


def test_alarm_of_a_withdrawn_rollout_compares_the_next_one(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    deploy(fake, invoke)
    arn = fake.register()
    invoke(promotion(arn))
    before = cloudwatch.alarms["rollout-errors"]
    fake.packages[arn]["ModelApprovalStatus"] = "Rejected"
    invoke(changed_approval(arn, "Rejected"))
    fake.roll_back()
    fake.packages[arn]["ModelApprovalStatus"] = "Approved"
    assert invoke(changed_approval(arn))["status"] == "Deploying"
    assert cloudwatch.alarms["rollout-errors"] == before


def test_rejection_says_that_no_alarm_exists(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    deploy(fake, invoke)
    arn = fake.register()
    invoke(promotion(arn))
    cloudwatch.alarms.clear()
    fake.packages[arn]["ModelApprovalStatus"] = "Rejected"
    with pytest.raises(LookupError, match=r"rollout-errors.*pulumi up"):
        invoke(changed_approval(arn, "Rejected"))


def test_package_that_was_withdrawn_is_deployed_after_another_approval(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    deploy(fake, invoke)
    arn = fake.register()
    invoke(promotion(arn))
    fake.packages[arn]["ModelApprovalStatus"] = "Rejected"
    invoke(changed_approval(arn, "Rejected"))
    fake.roll_back()
    invoke(endpoint_changed())
    fake.packages[arn]["ModelApprovalStatus"] = "Approved"
    assert invoke(changed_approval(arn))["status"] == "Deploying"
    fake.finish()
    invoke(endpoint_changed())
    assert fake.metadata(arn)["deployment"] == "Deployed"


def test_rejecting_another_package_does_not_stop_a_rollout(
    fake: FakeSageMaker, invoke: Invoke, cloudwatch: FakeCloudWatch
) -> None:
    other = deploy(fake, invoke)
    arn = fake.register()
    invoke(promotion(arn))
    fake.packages[other]["ModelApprovalStatus"] = "Rejected"
    assert invoke(changed_approval(other, "Rejected"))["status"] == "AlreadyDeploying"
    assert cloudwatch.states() == {"OK"}


def test_return_to_a_deployed_package_is_not_compared_with_the_one_that_it_leaves(
    fake: FakeSageMaker, invoke: Invoke
) -> None:
    deploy(fake, invoke)
    latest = deploy(fake, invoke)
    fake.packages[latest]["ModelApprovalStatus"] = "Rejected"
    assert invoke(changed_approval(latest, "Rejected"))["status"] == "Deploying"
    deployment = fake.updates[-1]["DeploymentConfig"]
    assert "AutoRollbackConfiguration" not in deployment
    routing = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}


def test_two_packages_approved_at_once_end_with_the_newest(fake: FakeSageMaker, invoke: Invoke) -> None:
    first, second = fake.register(run_id=FIRST), fake.register(run_id=SECOND)
    invoke(changed_approval(second))
    assert invoke(changed_approval(first))["status"] == "Superseded"
    third = fake.register()
    assert invoke(changed_approval(third))["status"] == "Deferred"
    fake.finish()
    assert invoke(endpoint_changed())["status"] == "Deploying"
    fake.finish()
    assert invoke(endpoint_changed())["status"] == "AlreadyDeployed"
    assert [fake.metadata(arn).get("deployment") for arn in (first, second, third)] == [
        None,
        "Deployed",
        "Deployed",
    ]
    assert fake.endpoint["EndpointConfigName"] == fake.metadata(third)["endpoint_config"]
