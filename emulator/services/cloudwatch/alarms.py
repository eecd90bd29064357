"""State of a metric alarm, from the data points of its metric or expression."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emulator.metrics import MINUTE_S, Metric, Metrics, is_statistic, statistic
from emulator.services.cloudwatch.expressions import Expression, ExpressionError, Value

OK, IN_ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
COMPARISONS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": ("greater than", operator.gt),
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", operator.ge),
    "LessThanThreshold": ("less than", operator.lt),
    "LessThanOrEqualToThreshold": ("less than or equal to", operator.le),
}


@dataclass(frozen=True)
class Evaluation:
    """Result of one evaluation; `state` None: the alarm keeps its state."""

    state: str | None
    reason: str


class AlarmRule:
    """What a metric alarm of moto evaluates.

    Raises:
        ExpressionError: a comparison, statistic or expression that the emulator does not have.
    """

    def __init__(self, alarm: Any) -> None:
        self._alarm = alarm
        if alarm.comparison_operator not in COMPARISONS:
            raise ExpressionError(f"the emulator does not support {alarm.comparison_operator}")
        queries = alarm.metric_data_queries
        self._expressions = {query.id: Expression(query.expression) for query in queries if query.expression}
        known = {query.id for query in queries}
        for expression in self._expressions.values():
            if unknown := sorted(expression.names - known):
                raise ExpressionError(f"{expression.text!r}: no metric {unknown[0]!r}")
        statistics = [query.metric_stat.stat for query in queries if query.metric_stat]
        if not queries:
            statistics = [alarm.extended_statistic or alarm.statistic]
        for name in statistics:
            if not is_statistic(name):
                raise ExpressionError(f"the emulator does not support the statistic {name}")

    def evaluate(self, metrics: Metrics) -> Evaluation:
        """State from the data points of the last periods.

        The window slides: it ends with the current minute, whose data points count as soon as they arrive
        (CloudWatch user guide, "Alarm evaluation window").
        """
        n_periods = int(self._alarm.evaluation_periods)
        n_needed = int(self._alarm.datapoints_to_alarm or n_periods)
        period_s = self._period_s()
        end = (math.floor(metrics.now() / MINUTE_S) + 1) * MINUTE_S
        points = [
            self._point(metrics, end - (index + 1) * period_s, end - index * period_s)
            for index in range(n_periods)
        ]
        return self._state(points, n_needed)

    def _period_s(self) -> int:
        """Period of the alarm, or of the metrics of its expression."""
        periods = [
            int(query.metric_stat.period) for query in self._alarm.metric_data_queries if query.metric_stat
        ]
        return max(periods) if periods else int(self._alarm.period)

    def _point(self, metrics: Metrics, start: float, end: float) -> Value:
        alarm = self._alarm
        if not alarm.metric_data_queries:
            values = metrics.between(
                _metric(alarm.region_name, alarm.namespace, alarm.metric_name, alarm.dimensions), start, end
            )
            return statistic(alarm.extended_statistic or alarm.statistic, values)
        found: dict[str, Value] = {}
        for query in alarm.metric_data_queries:
            if query.metric_stat:
                each = query.metric_stat.metric
                metric = _metric(alarm.region_name, each.namespace, each.metric_name, each.dimensions)
                found[query.id] = statistic(query.metric_stat.stat, metrics.between(metric, start, end))
        result = None
        for query in self._by_dependency(found):
            result = found[query.id] = self._expressions[query.id].value(found)
            if _returns_data(query):
                return result
        returned = [query for query in alarm.metric_data_queries if _returns_data(query)]
        return found[returned[0].id] if returned else result

    def _by_dependency(self, metrics: Mapping[str, Value]) -> list[Any]:
        """Queries with an expression, each after those that it names."""
        known = set(metrics)
        ordered: list[Any] = []
        waiting = [query for query in self._alarm.metric_data_queries if query.expression]
        while waiting:
            ready = [query for query in waiting if self._expressions[query.id].names <= known]
            if not ready:
                return [*ordered, *waiting]  # the evaluation names what is unknown
            ordered += ready
            known |= {query.id for query in ready}
            waiting = [query for query in waiting if query not in ready]
        return ordered

    def _state(self, points: Sequence[Value], n_needed: int) -> Evaluation:
        """State of data points, newest first.

        CloudWatch user guide, "Configuring how CloudWatch alarms treat missing data".
        """
        alarm = self._alarm
        words, breaches = COMPARISONS[alarm.comparison_operator]
        missing = alarm.treat_missing_data or "missing"
        known = [value for value in points if value is not None]
        if not known and missing == "missing":
            return Evaluation(NO_DATA, f"Insufficient Data: {len(points)} datapoints were unknown.")
        if not known and missing == "ignore":
            return Evaluation(None, "")
        breaching = [value for value in known if breaches(value, float(alarm.threshold))]
        n_missing = len(points) - len(known) if missing == "breaching" else 0
        is_breaching = len(breaching) + n_missing >= n_needed
        if not is_breaching and missing in ("missing", "ignore") and breaching:
            # Too few data points to tell: CloudWatch looks at those that exist.
            is_breaching = len(breaching) == len(known) and len(known) < n_needed and missing == "missing"
        values = ", ".join("missing" if value is None else f"{value:g}" for value in points)
        reason = (
            f"Threshold Crossed: {len(breaching) + n_missing} out of the last {len(points)} datapoints "
            f"[{values}] {'were' if is_breaching else 'was not'} {words} the threshold ({alarm.threshold:g})."
        )
        return Evaluation(IN_ALARM if is_breaching else OK, reason)


def _returns_data(query: Any) -> bool:
    """ReturnData of a query, as moto stores it; true by default."""
    return str(query.return_data).lower() != "false"


def _metric(region: str, namespace: str, name: str, dimensions: Sequence[Any]) -> Metric:
    return Metric.of(region, namespace, name, {each.name: each.value for each in dimensions})
