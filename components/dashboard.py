"""CloudWatch dashboard of a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

COLUMNS = 24  # CloudWatch dashboard grid
WIDGETS_PER_ROW = 3
HEIGHT = 6
INTRODUCTION_HEIGHT = 3


@dataclass(frozen=True, kw_only=True)
class GraphMetric:
    """One line of a graph.

    Attributes:
        namespace, metric, dimensions: the metric.
        statistic: the CloudWatch statistic that is drawn.
        label: name in the legend.
    """

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Sum"
    label: str


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One graph; its title is the question that its lines answer."""

    title: str
    metrics: Sequence[GraphMetric]


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    """Arguments of `Dashboard`.

    Attributes:
        dashboard_name: fixed, so that runbooks can link to it.
        region: region of the metrics.
        introduction: Markdown text at the top.
        graphs: in reading order.
    """

    dashboard_name: str
    region: str
    introduction: str
    graphs: Sequence[Graph]


class Dashboard(pulumi.ComponentResource):
    """CloudWatch dashboard: a text widget, then graphs in rows of three.

    Creates: Dashboard.
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:operations:Dashboard", name, None, opts)
        introduction = {
            "type": "text",
            "x": 0,
            "y": 0,
            "width": COLUMNS,
            "height": INTRODUCTION_HEIGHT,
            "properties": {"markdown": args.introduction},
        }
        graphs = [_graph(graph, index, args.region) for index, graph in enumerate(args.graphs)]
        dashboard = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=args.dashboard_name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": [introduction, *graphs]}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.name = dashboard.dashboard_name
        self.register_outputs({"name": self.name})


def _graph(graph: Graph, index: int, region: str) -> dict[str, Any]:
    row, column = divmod(index, WIDGETS_PER_ROW)
    width = COLUMNS // WIDGETS_PER_ROW
    return {
        "type": "metric",
        "x": column * width,
        "y": INTRODUCTION_HEIGHT + row * HEIGHT,
        "width": width,
        "height": HEIGHT,
        "properties": {
            "title": graph.title,
            "region": region,
            "view": "timeSeries",
            "stacked": False,
            "period": 300,
            "metrics": [
                [
                    metric.namespace,
                    metric.metric,
                    *(part for pair in metric.dimensions.items() for part in pair),
                    {"stat": metric.statistic, "label": metric.label},
                ]
                for metric in graph.metrics
            ],
        },
    }
