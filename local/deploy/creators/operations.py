"""Creators of budgets and schedules."""

from __future__ import annotations

from typing import Any

from emulator.tags import as_list, as_mapping
from local.deploy.context import Context, Creator, delivery_settings
from local.deploy.inputs import Inputs

MAX_BUDGET_NAME = 100  # Budgets API, CreateBudget
MAX_SCHEDULE_NAME = 64  # EventBridge Scheduler API, CreateSchedule
DEFAULT_GROUP = "default"


def budget(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    budgets = context.client("budgets")
    account = {"AccountId": context.account_id}
    sent = {
        "BudgetName": context.name_of(inputs, name, max_length=MAX_BUDGET_NAME),
        **inputs.pick({"budgetType": "BudgetType", "timeUnit": "TimeUnit"}),
        "BudgetLimit": inputs.pick({"limitAmount": "Amount", "limitUnit": "Unit"}),
        "CostFilters": {block["name"]: block["values"] for block in inputs.blocks("costFilters")},
    }
    notifications = [_notification(block) for block in inputs.blocks("notifications")]
    tags = inputs.plain("tags", {})
    arn = f"arn:aws:budgets::{context.account_id}:budget/{sent['BudgetName']}"
    budgets.create_budget(
        **account, Budget=sent, NotificationsWithSubscribers=notifications, ResourceTags=as_list(tags)
    )
    inputs.compare(
        {**sent, "Notifications": notifications, "Tags": tags},
        {
            **budgets.describe_budget(**account, BudgetName=sent["BudgetName"])["Budget"],
            "Notifications": _kept_notifications(budgets, account, sent["BudgetName"]),
            "Tags": as_mapping(budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"]),
        },
    )
    return f"{context.account_id}:{sent['BudgetName']}", {
        "arn": arn,
        "name": sent["BudgetName"],
        "accountId": context.account_id,
    }


def _kept_notifications(budgets: Any, account: dict[str, str], name: str) -> list[dict[str, Any]]:
    """Notifications of a budget with their subscribers."""
    budget = {**account, "BudgetName": name}
    kept = []
    for notification in budgets.describe_notifications_for_budget(**budget)["Notifications"]:
        notification.pop("NotificationState", None)
        found = budgets.describe_subscribers_for_notification(**budget, Notification=notification)
        kept.append({"Notification": notification, "Subscribers": found["Subscribers"]})
    return kept


def _notification(inputs: Inputs) -> dict[str, Any]:
    subscribers = {
        "SNS": inputs.get("subscriberSnsTopicArns", []),
        "EMAIL": inputs.get("subscriberEmailAddresses", []),
    }
    return {
        "Notification": inputs.pick(
            {
                "comparisonOperator": "ComparisonOperator",
                "notificationType": "NotificationType",
                "threshold": "Threshold",
                "thresholdType": "ThresholdType",
            }
        ),
        "Subscribers": [
            {"SubscriptionType": kind, "Address": address}
            for kind, addresses in subscribers.items()
            for address in addresses
        ],
    }


def schedule(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    scheduler = context.client("scheduler")
    sent: dict[str, Any] = {
        "Name": context.name_of(inputs, name, max_length=MAX_SCHEDULE_NAME),
        "GroupName": inputs.get("groupName", DEFAULT_GROUP),
        **inputs.pick(
            {
                "description": "Description",
                "scheduleExpression": "ScheduleExpression",
                "scheduleExpressionTimezone": "ScheduleExpressionTimezone",
                "state": "State",
                "kmsKeyArn": "KmsKeyArn",
            }
        ),
    }
    if window := inputs.block("flexibleTimeWindow"):
        sent["FlexibleTimeWindow"] = window.pick({"mode": "Mode"})
    if target := inputs.block("target"):
        sent["Target"] = _target(target)
    arn = scheduler.create_schedule(**sent)["ScheduleArn"]
    inputs.compare(sent, scheduler.get_schedule(Name=sent["Name"], GroupName=sent["GroupName"]))
    return f"{sent['GroupName']}/{sent['Name']}", {
        "arn": arn,
        "name": sent["Name"],
        "groupName": sent["GroupName"],
    }


def _target(inputs: Inputs) -> dict[str, Any]:
    return {
        **inputs.pick({"arn": "Arn", "roleArn": "RoleArn", "input": "Input"}),
        **delivery_settings(inputs),
    }


CREATORS: dict[str, Creator] = {
    "aws:budgets/budget:Budget": budget,
    "aws:scheduler/schedule:Schedule": schedule,
}
