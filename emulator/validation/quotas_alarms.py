"""Rules of PutMetricAlarm that the service model does not have (API reference, PutMetricAlarm)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
SHORT_PERIODS_S = (10, 20, 30)  # API reference, PutMetricAlarm: Period
MAX_ALARM_RANGE_S = 86_400  # the same page: one day, or a week for periods of an hour and more
MAX_LONG_ALARM_RANGE_S = 604_800
OF_ONE_METRIC = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
MISSING_DATA = ("breaching", "notBreaching", "ignore", "missing")
MAX_METRICS = 10  # user guide, "Create an alarm based on a metric math expression"


def _periods(parameters: Parameters, _region: str) -> Iterator[Violation]:
    periods = [parameters.get("Period")]
    periods += [
        each.get("MetricStat", each).get("Period") for each in parameters.get("Metrics") or [] if each
    ]
    for period in (period for period in periods if period is not None):
        if period not in SHORT_PERIODS_S and period % 60:
            text = f"Member must be one of {SHORT_PERIODS_S} or a multiple of 60"
            yield Violation("period", "range", text, str(period))
        limit = MAX_LONG_ALARM_RANGE_S if period >= 3_600 else MAX_ALARM_RANGE_S
        if period * parameters["EvaluationPeriods"] > limit:
            text = f"Metrics cannot be checked across more than {limit} seconds (EvaluationPeriods * Period)"
            raise ServiceError("ValidationError", text)


def _alarm(parameters: Parameters, _region: str) -> Iterator[Violation]:
    """Members that go together.

    Raises:
        ServiceError: ValidationError, the service's code for combinations.
    """
    if parameters.get("DatapointsToAlarm", 1) > parameters["EvaluationPeriods"]:
        raise _refused("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    missing = parameters.get("TreatMissingData")
    if missing is not None and missing not in MISSING_DATA:
        raise _refused(f"TreatMissingData must be one of {', '.join(MISSING_DATA)}, and not {missing}")
    if not parameters.get("ThresholdMetricId") and parameters.get("Threshold") is None:
        raise _refused("The parameter Threshold is required for alarms with a static threshold")
    if queries := parameters.get("Metrics"):
        if given := [name for name in OF_ONE_METRIC if parameters.get(name)]:
            raise _refused(f"Metrics and {given[0]} cannot be specified together")
        _check_queries(queries, parameters.get("ThresholdMetricId"))
    else:
        for name in ("MetricName", "Namespace", "Period"):
            if not parameters.get(name):
                raise _refused(f"The parameter {name} is required for alarms on a single metric")
        if bool(parameters.get("Statistic")) == bool(parameters.get("ExtendedStatistic")):
            raise _refused("Exactly one of Statistic and ExtendedStatistic must be specified")
    yield from ()


def _check_queries(queries: Sequence[Mapping[str, Any]], threshold_id: str | None) -> None:
    """Raise ServiceError unless the queries are those of one alarm."""
    repeated = [name for name, n in Counter(query["Id"] for query in queries).items() if n > 1]
    if repeated:
        raise _refused(f"The values for the Id parameter must be unique: {repeated[0]}")
    both = [
        query["Id"] for query in queries if bool(query.get("MetricStat")) == bool(query.get("Expression"))
    ]
    if both:
        raise _refused(f"Exactly one of MetricStat and Expression must be specified: {both[0]}")
    n_metrics = sum(bool(query.get("MetricStat")) for query in queries)
    if n_metrics > MAX_METRICS:
        raise _refused(f"An alarm on an expression has at most {MAX_METRICS} metrics, and not {n_metrics}")
    n_returned = sum(query.get("ReturnData", True) for query in queries if query["Id"] != threshold_id)
    if n_returned != 1:
        raise _refused(f"Exactly one element of Metrics must return data, and not {n_returned}")


def _refused(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)


CHECKS = {("cloudwatch", "PutMetricAlarm"): (_periods, _alarm)}
