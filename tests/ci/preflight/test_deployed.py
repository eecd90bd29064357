"""Checks of a deployed stage: code, interactions, budget and alarm subscription."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ci.preflight import deployed
from ci.preflight.finding import Status
from emulator.app import Emulator
from tests.ci.preflight.support import ACCOUNT, LATER, MISSING, OK, REGION, client, stage_at, status_of


def test_checks_of_a_deployed_stage_wait_for_the_deployment(emulator: Emulator) -> None:
    stage = stage_at(emulator.url, "prod")
    statuses = [each.status for _, check in deployed.CHECKS for each in check(stage)]
    assert statuses == [LATER] * 4


def test_training_code_and_interactions(emulator: Emulator) -> None:
    stage, s3 = stage_at(emulator.url), emulator.client("s3")
    for name in ("data", "artifacts"):
        s3.create_bucket(
            Bucket=f"ncf-dev-{name}-1a2b3c", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    assert status_of(deployed.check_code_bundle, stage) == {"training code": MISSING}
    assert status_of(deployed.check_interactions, stage) == {"interactions": MISSING}
    s3.put_object(Bucket="ncf-dev-artifacts-1a2b3c", Key="code/source.zip", Body=b"x")
    s3.put_object(Bucket="ncf-dev-data-1a2b3c", Key="raw/interactions/a.csv", Body=b"x")
    assert status_of(deployed.check_code_bundle, stage) == {"training code": OK}
    assert status_of(deployed.check_interactions, stage) == {"interactions": OK}


class Listing:
    """Client with the answers of its list operations."""

    def __init__(self, **pages: Any) -> None:
        self._pages = pages

    def get_paginator(self, operation: str) -> Any:
        pages = self._pages[operation]
        return type("Paginator", (), {"paginate": lambda _self, **_: [pages]})()


@pytest.mark.parametrize(
    ("budgets", "deployed_bucket", "status"),
    [
        ({}, None, LATER),
        ({}, "ncf-dev-artifacts-1a2b3c", MISSING),
        ({"ncf-prod-budget-1a2b3c": 1.0}, "ncf-dev-artifacts-1a2b3c", MISSING),
        ({"ncf-dev-budget-1a2b3c": 0.0}, "ncf-dev-artifacts-1a2b3c", OK),
        ({"ncf-dev-budget-1a2b3c": 1.0}, "ncf-dev-artifacts-1a2b3c", MISSING),
    ],
)
def test_deployed_stage_has_the_budget_of_its_stage_file(
    emulator: Emulator, budgets: dict[str, float], deployed_bucket: str | None, status: Status
) -> None:
    """Amounts are relative to the limit of the stage file."""
    stage = stage_at(emulator.url)
    limit = stage.config.operations.monthly_budget_usd
    listed = [
        {"BudgetName": name, "BudgetLimit": {"Amount": f"{limit + more:.1f}", "Unit": "USD"}}
        for name, more in budgets.items()
    ]
    clients = {
        "budgets": Listing(describe_budgets={"Budgets": listed}),
        "s3": Listing(list_buckets={"Buckets": [{"Name": deployed_bucket}] if deployed_bucket else []}),
        "sts": client("sts", REGION, emulator.url),
    }
    listing = replace(stage, connect=lambda service, _region: clients[service])
    assert status_of(deployed.check_budget, listing) == {"budget": status}


def test_alarm_subscription_of_another_address_is_missing(emulator: Emulator) -> None:
    stage, sns = stage_at(emulator.url), emulator.client("sns")
    subject = f"alarm subscription of {stage.config.operations.alarm_email}"
    topic = sns.create_topic(Name="ncf-dev-alarms-1a2b3c")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.com")
    assert status_of(deployed.check_subscription, stage) == {subject: MISSING}


def subscriptions(arn: str, email: str) -> Listing:
    """SNS client with one topic and one subscription."""
    return Listing(
        list_topics={"Topics": [{"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:ncf-dev-alarms-1a2b3c"}]},
        list_subscriptions_by_topic={"Subscriptions": [{"SubscriptionArn": arn, "Endpoint": email}]},
    )


@pytest.mark.parametrize(
    ("arn", "expected"),
    [("PendingConfirmation", MISSING), (f"arn:aws:sns:{REGION}:{ACCOUNT}:ncf-dev-alarms-1a2b3c:1", OK)],
)
def test_unconfirmed_alarm_subscription_is_missing(arn: str, expected: Status) -> None:
    stage = stage_at("http://127.0.0.1:9")
    email = stage.config.operations.alarm_email
    stage = replace(stage, connect=lambda service, region: subscriptions(arn, email))
    assert status_of(deployed.check_subscription, stage) == {f"alarm subscription of {email}": expected}
