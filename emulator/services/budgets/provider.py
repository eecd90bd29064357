"""AWS Budgets provider: updates, subscribers and tags of budgets. moto stores budgets and notifications."""

from __future__ import annotations

import time
from typing import Any

from emulator import moto_state
from emulator.host import Host
from emulator.provider import Forward, Provider
from emulator.tags import Tags, as_list, as_mapping
from emulator.wire import Operation, Request, Response, ServiceError

TARGET = "AWSBudgetServiceGateway"


class BudgetsProvider(Provider):
    """Operations on budgets that moto does not implement; costs are not counted and nobody is notified."""

    def __init__(self, host: Host, forward: Forward) -> None:
        self._host = host
        self._forward = forward
        self._tags = Tags()

    def operations(self) -> dict[str, Operation]:
        """Operations on budgets, subscribers and tags."""
        handlers: dict[str, Operation] = {
            "CreateBudget": self._create,
            "UpdateBudget": self._update,
            "DeleteBudget": self._delete,
            "DescribeNotificationsForBudget": self._describe_notifications,
            "DescribeSubscribersForNotification": self._describe_subscribers,
            "CreateSubscriber": self._create_subscriber,
            "DeleteSubscriber": self._delete_subscriber,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }
        return {f"{TARGET}.{name}": handler for name, handler in handlers.items()}

    # -- budgets ------------------------------------------------------------------------------------
    def _create(self, request: Request) -> Response:
        response = self._forward(request)
        if response.status == 200:
            arn = self._arn(request.json["Budget"]["BudgetName"])
            self._tags.add(arn, as_mapping(request.json.get("ResourceTags", [])))
        return response

    def _update(self, request: Request) -> dict[str, Any]:
        new = request.json["NewBudget"]
        budget = self._find(request, new["BudgetName"])
        period = new.get("TimePeriod") or budget.budget["TimePeriod"]
        budget.budget = {**new, "TimePeriod": period, "LastUpdatedTime": time.time()}
        return {}

    def _delete(self, request: Request) -> Response:
        response = self._forward(request)
        if response.status == 200:
            self._tags.forget(self._arn(request.json["BudgetName"]))
        return response

    # -- notifications and their subscribers --------------------------------------------------------
    def _describe_notifications(self, request: Request) -> dict[str, Any]:
        budget = self._find(request, request.json["BudgetName"])
        notifications = budget.get_notifications()
        return {"Notifications": [{"NotificationState": "OK", **details} for details in notifications]}

    def _describe_subscribers(self, request: Request) -> dict[str, Any]:
        return {"Subscribers": list(self._find_notification(request).subscribers)}

    def _create_subscriber(self, request: Request) -> dict[str, Any]:
        subscribers = self._find_notification(request).subscribers
        if request.json["Subscriber"] in subscribers:
            raise ServiceError("DuplicateRecordException", "The subscriber already exists.")
        subscribers.append(request.json["Subscriber"])
        return {}

    def _delete_subscriber(self, request: Request) -> dict[str, Any]:
        subscribers = self._find_notification(request).subscribers
        if request.json["Subscriber"] not in subscribers:
            raise ServiceError("NotFoundException", "The subscriber doesn't exist.")
        subscribers.remove(request.json["Subscriber"])
        return {}

    # -- tags ---------------------------------------------------------------------------------------
    def _list_tags(self, request: Request) -> dict[str, Any]:
        return {"ResourceTags": as_list(self._tags.of(self._known_arn(request)))}

    def _tag(self, request: Request) -> dict[str, Any]:
        self._tags.add(self._known_arn(request), as_mapping(request.json["ResourceTags"]))
        return {}

    def _untag(self, request: Request) -> dict[str, Any]:
        self._tags.remove(self._known_arn(request), request.json["ResourceTagKeys"])
        return {}

    # -- helpers ------------------------------------------------------------------------------------
    def _arn(self, name: str) -> str:
        return f"arn:aws:budgets::{self._host.account_id}:budget/{name}"

    def _known_arn(self, request: Request) -> str:
        """ARN of the request, if a budget has it."""
        arn = str(request.json.get("ResourceARN", ""))
        self._find(request, arn.rpartition("budget/")[2])
        return arn

    def _find(self, request: Request, name: str) -> Any:
        """moto's budget.

        Raises:
            ServiceError: NotFoundException.
        """
        budgets = moto_state.backend("budgets", request.region).budgets[self._host.account_id]
        if name not in budgets:
            raise ServiceError(
                "NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist."
            )
        return budgets[name]

    def _find_notification(self, request: Request) -> Any:
        """moto's notification of a request; notifications are identified by their settings."""
        budget = self._find(request, request.json["BudgetName"])
        wanted = _identity(request.json["Notification"])
        for notification in budget.notifications:
            if _identity(notification.details) == wanted:
                return notification
        raise ServiceError("NotFoundException", "Unable to get the notification - it doesn't exist.")


def _identity(notification: dict[str, Any]) -> tuple[Any, ...]:
    return (
        notification["NotificationType"],
        notification["ComparisonOperator"],
        float(notification["Threshold"]),
        notification.get("ThresholdType", "PERCENTAGE"),
    )
