"""Budget and dashboard."""

import json

import pytest

from components.budget import Budget, BudgetArgs
from components.dashboard import Dashboard, DashboardArgs, Graph, GraphMetric
from tests import pulumi_engine

TOPIC_ARN = "arn:aws:sns:ap-northeast-2:123456789012:alarms"


def test_budget_notifies_at_its_thresholds_for_tagged_costs() -> None:
    args = BudgetArgs(monthly_usd=500, tags={"Stage": "dev"}, alarm_topic_arn=TOPIC_ARN)
    inputs = pulumi_engine.run(lambda: Budget("budget", args).urn).one("aws:budgets/budget:Budget").inputs
    assert (inputs["limitAmount"], inputs["limitUnit"], inputs["timeUnit"]) == ("500", "USD", "MONTHLY")
    assert inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:Stage$dev"]}]
    thresholds = [(each["notificationType"], each["threshold"]) for each in inputs["notifications"]]
    assert thresholds == [("ACTUAL", 80), ("FORECASTED", 100)]
    assert all(each["subscriberSnsTopicArns"] == [TOPIC_ARN] for each in inputs["notifications"])


def test_budget_below_one_dollar_is_refused() -> None:
    with pytest.raises(ValueError, match="write whole dollars"):
        BudgetArgs(monthly_usd=0, tags={}, alarm_topic_arn=TOPIC_ARN)


def test_graphs_are_in_rows_of_three_below_the_introduction() -> None:
    metric = GraphMetric(namespace="AWS/SQS", metric="Age", dimensions={"QueueName": "q"}, label="age")
    args = DashboardArgs(
        dashboard_name="ncf-dev",
        region="ap-northeast-2",
        introduction="# NCF",
        graphs=[Graph(title=f"graph {n}", metrics=[metric]) for n in range(4)],
    )
    done = pulumi_engine.run(lambda: Dashboard("page", args).name)
    body = json.loads(done.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    text, *graphs = body["widgets"]
    assert text["properties"] == {"markdown": "# NCF"}
    assert [(graph["x"], graph["y"]) for graph in graphs] == [(0, 3), (8, 3), (16, 3), (0, 9)]
    assert graphs[0]["properties"]["metrics"] == [
        ["AWS/SQS", "Age", "QueueName", "q", {"stat": "Sum", "label": "age"}]
    ]
