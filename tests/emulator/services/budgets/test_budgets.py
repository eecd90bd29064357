"""The AWS provider creates, reads, tags, changes and deletes a budget."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator

ACCOUNT = "123456789012"
ARN = f"arn:aws:budgets::{ACCOUNT}:budget/monthly"
BUDGET = {
    "BudgetName": "monthly",
    "BudgetType": "COST",
    "TimeUnit": "MONTHLY",
    "BudgetLimit": {"Amount": "500", "Unit": "USD"},
}
NOTIFICATION = {
    "NotificationType": "ACTUAL",
    "ComparisonOperator": "GREATER_THAN",
    "Threshold": 80.0,
    "ThresholdType": "PERCENTAGE",
}
TOPIC = {"SubscriptionType": "SNS", "Address": f"arn:aws:sns:ap-northeast-2:{ACCOUNT}:alarms"}
MAIL = {"SubscriptionType": "EMAIL", "Address": "owner@example.com"}


@pytest.fixture
def budgets(emulator: Emulator) -> Any:
    """Client, with one budget that has one notification."""
    client = emulator.client("budgets")
    client.create_budget(
        AccountId=ACCOUNT,
        Budget=BUDGET,
        NotificationsWithSubscribers=[{"Notification": NOTIFICATION, "Subscribers": [TOPIC]}],
        ResourceTags=[{"Key": "Stage", "Value": "dev"}],
    )
    yield client
    client.delete_budget(AccountId=ACCOUNT, BudgetName="monthly")


def subscribers(budgets: Any) -> list[dict[str, str]]:
    found = budgets.describe_subscribers_for_notification(
        AccountId=ACCOUNT, BudgetName="monthly", Notification=NOTIFICATION
    )
    return list(found["Subscribers"])


def tags(budgets: Any) -> dict[str, str]:
    found = budgets.list_tags_for_resource(ResourceARN=ARN)["ResourceTags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_subscribers_of_a_notification_are_described(budgets: Any) -> None:
    assert subscribers(budgets) == [TOPIC]
    of = {"AccountId": ACCOUNT, "BudgetName": "monthly", "Notification": NOTIFICATION}
    budgets.create_subscriber(**of, Subscriber=MAIL)
    budgets.delete_subscriber(**of, Subscriber=TOPIC)
    assert subscribers(budgets) == [MAIL]


def test_tags_are_kept_changed_and_removed(budgets: Any) -> None:
    assert tags(budgets) == {"Stage": "dev"}
    budgets.tag_resource(ResourceARN=ARN, ResourceTags=[{"Key": "Owner", "Value": "us"}])
    budgets.untag_resource(ResourceARN=ARN, ResourceTagKeys=["Stage"])
    assert tags(budgets) == {"Owner": "us"}


def test_tags_of_a_deleted_budget_are_deleted(budgets: Any) -> None:
    budgets.delete_budget(AccountId=ACCOUNT, BudgetName="monthly")
    with pytest.raises(ClientError, match="NotFoundException"):
        tags(budgets)
    budgets.create_budget(AccountId=ACCOUNT, Budget=BUDGET)
    assert tags(budgets) == {}


def test_update_changes_the_limit(budgets: Any) -> None:
    changed = {**BUDGET, "BudgetLimit": {"Amount": "700", "Unit": "USD"}}
    budgets.update_budget(AccountId=ACCOUNT, NewBudget=changed)
    read = budgets.describe_budget(AccountId=ACCOUNT, BudgetName="monthly")["Budget"]
    assert read["BudgetLimit"] == {"Amount": "700", "Unit": "USD"}
    assert subscribers(budgets) == [TOPIC]
