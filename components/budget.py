"""Monthly cost budget of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

ACTUAL_PERCENT = 80  # of the limit, spent so far this month
FORECAST_PERCENT = 100  # of the limit, forecast for the whole month


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Arguments of `Budget`.

    Attributes:
        monthly_usd: limit in US dollars per month.
        tags: cost allocation tags of the costs that count; activate them once in the billing console.
        alarm_topic_arn: topic for the notifications, see `ACTUAL_PERCENT` and `FORECAST_PERCENT`.
    """

    monthly_usd: int
    tags: Mapping[str, str]
    alarm_topic_arn: pulumi.Input[str]

    def __post_init__(self) -> None:
        if self.monthly_usd < 1:
            raise ValueError(f"monthly_usd {self.monthly_usd}: write whole dollars from 1")


class Budget(pulumi.ComponentResource):
    """Monthly cost budget with notifications of actual and forecasted costs.

    Creates: Budget.
    """

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:operations:Budget", name, None, opts)
        aws.budgets.Budget(
            name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                {"name": "TagKeyValue", "values": [f"user:{key}${value}"]}
                for key, value in sorted(args.tags.items())
            ],
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "notification_type": kind,
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [args.alarm_topic_arn],
                }
                for kind, percent in (("ACTUAL", ACTUAL_PERCENT), ("FORECASTED", FORECAST_PERCENT))
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
