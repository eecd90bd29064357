"""Creators of budgets and schedules."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator
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
    budgets.create_budget(**account, Budget=sent, NotificationsWithSubscribers=notifications)
    read = budgets.describe_budget(**account, BudgetName=sent["BudgetName"])["Budget"]
    kept = budgets.describe_notifications_for_budget(**account, BudgetName=sent["BudgetName"])
    sent_notifications = [entry["Notification"] for entry in notifications]
    inputs.compare(sent | {"Notifications": sent_notifications}, read | kept)
    return f"{context.account_id}:{sent['BudgetName']}", {
        "arn": f"arn:aws:budgets::{context.account_id}:budget/{sent['BudgetName']}",
        "name": sent["BudgetName"],
        "accountId": context.account_id,
    }


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
    sent = inputs.pick({"arn": "Arn", "roleArn": "RoleArn", "input": "Input"})
    if retry := inputs.block("retryPolicy"):
        sent["RetryPolicy"] = retry.pick(
            {
                "maximumRetryAttempts": "MaximumRetryAttempts",
                "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            }
        )
    if dead_letters := inputs.block("deadLetterConfig"):
        sent["DeadLetterConfig"] = dead_letters.pick({"arn": "Arn"})
    return sent


CREATORS: dict[str, Creator] = {
    "aws:budgets/budget:Budget": budget,
    "aws:scheduler/schedule:Schedule": schedule,
}
