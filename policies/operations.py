"""Rules on sizes, autoscaling, alarms and budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policies.model import Broken, Resource, Rule, Stage, is_set, of, without


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Largest sizes of a stage."""

    endpoint_instances: int
    vcpus_of_an_instance: int
    monthly_usd: int


# By whether the stage protects its data: what production may have is too much for a stage to try changes in.
SIZES = {
    False: Sizes(endpoint_instances=2, vcpus_of_an_instance=4, monthly_usd=1000),
    True: Sizes(endpoint_instances=20, vcpus_of_an_instance=16, monthly_usd=10_000),
}
# Of a function: the API's time budget is 15 s, other functions call AWS only.
MEMORY_MIB, TIMEOUT_S = 2048, 120
# Of current instance families.
VCPUS = {"medium": 1, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32}


def _endpoint_size(resources: Sequence[Resource], stage: Stage) -> Iterator[Broken]:
    sizes = SIZES[stage.protects_data]
    for target in of(resources, "Target"):
        count = target.inputs.get("maxCapacity", 0)
        if count > sizes.endpoint_instances:
            yield target, f"maxCapacity is {count}: at most {sizes.endpoint_instances}"
    for configuration in of(resources, "EndpointConfiguration"):
        for variant in configuration.inputs.get("productionVariants", []):
            name = variant.get("instanceType", "ml.unknown.medium")
            vcpus = VCPUS.get(name.rpartition(".")[2], math.inf)
            if vcpus > sizes.vcpus_of_an_instance:
                yield configuration, f"{name}: at most {sizes.vcpus_of_an_instance} vCPUs"


def _function_size(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for function in of(resources, "Function"):
        for key, limit in (("memorySize", MEMORY_MIB), ("timeout", TIMEOUT_S)):
            if function.inputs.get(key, 0) > limit:
                yield function, f"{key} is {function.inputs[key]}: at most {limit}"


def _budget(resources: Sequence[Resource], stage: Stage) -> Iterator[Broken]:
    limit = SIZES[stage.protects_data].monthly_usd
    budgets = of(resources, "Budget")
    if not budgets:
        yield None, "add a Budget with notifications"
    for budget in budgets:
        if float(budget.inputs.get("limitAmount", 0)) > limit:
            amount = budget.inputs["limitAmount"]
            yield budget, f"limitAmount is {amount}: at most {limit} US dollars per month"
        if not is_set(budget, "notifications"):
            yield budget, "add notifications"


def _autoscaling(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    targets = [str(each.inputs.get("resourceId")) for each in of(resources, "Target")]
    policies = [str(each.inputs.get("resourceId")) for each in of(resources, "Policy")]
    for endpoint in of(resources, "Endpoint"):
        prefix = f"endpoint/{endpoint.inputs.get('name')}/"
        if not all(any(name.startswith(prefix) for name in names) for names in (targets, policies)):
            yield endpoint, "add a Target and a Policy of Application Auto Scaling"


def _queue_alarm(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for queue in without(resources, "Queue", "MetricAlarm", "dimensions"):
        yield queue, "add a MetricAlarm on its visible messages"


def _function_alarm(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for function in without(resources, "Function", "MetricAlarm", "dimensions"):
        yield function, "add a MetricAlarm on its errors"


def _endpoint_alarm(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    alarms = of(resources, "MetricAlarm")
    for endpoint in of(resources, "Endpoint"):
        watching = {alarm.urn for alarm in alarms if endpoint.inputs.get("name") in _endpoints(alarm)}
        if len(watching) < 2:
            yield endpoint, "add MetricAlarms on errors and latency"


def _endpoints(alarm: Resource) -> set[str]:
    """Names of the endpoints whose metrics an alarm watches."""
    metrics = [alarm.inputs, *(query.get("metric", {}) for query in alarm.inputs.get("metricQueries", []))]
    found = (metric.get("dimensions", {}).get("EndpointName") for metric in metrics)
    return {name for name in found if name is not None}


def _alarm_action(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for alarm in of(resources, "MetricAlarm"):
        if not is_set(alarm, "alarmActions"):
            yield alarm, "set alarmActions"


def _filled_alarm(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for alarm in of(resources, "MetricAlarm"):
        queries = alarm.inputs.get("metricQueries", [])
        n_periods = alarm.inputs.get("evaluationPeriods", 0)
        n_needed = alarm.inputs.get("datapointsToAlarm", n_periods)
        if any("FILL(" in query.get("expression", "") for query in queries) and n_needed >= n_periods:
            yield alarm, "set datapointsToAlarm below evaluationPeriods: FILL gives late minutes a value"


def _delivery(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for target in of(resources, "EventTarget"):
        if not is_set(target, "deadLetterConfig"):
            yield target, "set deadLetterConfig: undelivered events would be lost"
        if not is_set(target, "retryPolicy"):
            yield target, "set retryPolicy"
    for function in without(
        resources, "Function", "FunctionEventInvokeConfig", "functionName", _has_destination
    ):
        yield function, "add a FunctionEventInvokeConfig with a destination for failures"


def _has_destination(config: Resource) -> bool:
    return is_set(config, "destinationConfig")


RULES = (
    Rule(
        name="endpoint-size",
        description="The endpoint's size is bounded by the kind of stage.",
        check=_endpoint_size,
    ),
    Rule(
        name="function-size", description="Memory and timeout of functions are bounded.", check=_function_size
    ),
    Rule(
        name="budget",
        description="The stage has a budget with notifications, bounded by the kind of stage.",
        check=_budget,
    ),
    Rule(name="endpoint-autoscales", description="The endpoint scales with its load.", check=_autoscaling),
    Rule(name="queue-has-alarm", description="Every queue has an alarm.", check=_queue_alarm),
    Rule(name="function-has-alarm", description="Every function has an alarm.", check=_function_alarm),
    Rule(
        name="endpoint-has-alarms",
        description="The endpoint has alarms on errors and latency.",
        check=_endpoint_alarm,
    ),
    Rule(name="alarm-notifies", description="Every alarm has an action.", check=_alarm_action),
    Rule(
        name="filled-alarm-waits",
        description="Alarms on filled metrics wait for data that is late.",
        check=_filled_alarm,
    ),
    Rule(
        name="events-not-lost",
        description="Event targets and functions have a dead-letter destination.",
        check=_delivery,
    ),
)
