"""Estimated cost of a stage per month, from its resources, its configuration and the assumed usage."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.spark.instance_types import instance_type
from local.preview import PreviewedResource
from local.review.snapshot import Snapshot

PRICES = Path(__file__).with_name("prices.yaml")
HOURS = 730  # hours per month
REQUEST_S = 0.1  # assumed duration of an invocation of `recommend`
MILLION = 1_000_000
USAGE = "ncf:usage."


@dataclass(frozen=True, kw_only=True)
class Line:
    """Cost of one item per month.

    Attributes:
        usd_per_unit: None for an item that the price file does not have.
    """

    item: str
    unit: str
    usd_per_unit: float | None
    units: float

    @property
    def usd(self) -> float:
        """US dollars per month; 0 without a price."""
        return (self.usd_per_unit or 0) * self.units


@functools.cache
def price_list() -> dict[str, Any]:
    """The price file: region, date, prices by item, and shares of spot prices."""
    return dict(yaml.safe_load(PRICES.read_text(encoding="utf-8")))


def lines(snapshot: Snapshot, usage: Mapping[str, Any] | None = None) -> list[Line]:
    """Items with their cost per month; none for a stage that does not exist.

    Args:
        usage: assumed usage of the other version, for a configuration without a section `usage`.
    """
    if not snapshot.exists:
        return []
    config = {key.partition(":")[2]: value for key, value in snapshot.effective.items()}
    assumed = {**{f"usage.{key}": value for key, value in (usage or {}).items()}, **config}
    if not any(key.startswith("usage.") for key in assumed):
        return []
    return [line for line in _lines(snapshot, assumed) if line.units]


def usage_of(snapshot: Snapshot) -> dict[str, Any]:
    """Assumed usage of a stage, by key of the section `usage`."""
    return {
        key.removeprefix(USAGE): value for key, value in snapshot.effective.items() if key.startswith(USAGE)
    }


def _lines(snapshot: Snapshot, config: Mapping[str, Any]) -> Iterator[Line]:
    by_type: dict[str, list[PreviewedResource]] = {}
    for resource in snapshot.custom().values():
        by_type.setdefault(resource.type, []).append(resource)
    yield from _serving(by_type, config)
    yield from _preparation(config)
    yield from _training(config)
    yield from _storage_and_monitoring(by_type, config)


def _serving(by_type: Mapping[str, list[PreviewedResource]], config: Mapping[str, Any]) -> Iterator[Line]:
    configurations = by_type.get("aws:sagemaker/endpointConfiguration:EndpointConfiguration", [])
    variants = [
        each for configuration in configurations for each in configuration.inputs["productionVariants"]
    ]
    scaled = [each.inputs["minCapacity"] for each in by_type.get("aws:appautoscaling/target:Target", [])]
    for variant in variants:
        count = scaled[0] if scaled else variant["initialInstanceCount"]
        name = variant["instanceType"]
        yield _line(f"Endpoint, {name}", f"endpoint {name}", count * HOURS)
    millions = config["usage.million_requests_per_month"]
    yield _line("API Gateway, HTTP API", "http api", millions)
    for function in by_type.get("aws:lambda/function:Function", []):
        if function.name != "recommend":
            continue  # the others run a few times per day
        (processor,) = function.inputs.get("architectures", ["x86_64"])
        gb_s = function.inputs.get("memorySize", 128) / 1024 * REQUEST_S * millions * MILLION
        yield _line("Lambda recommend, requests", "lambda request", millions)
        yield _line(f"Lambda recommend, {processor}, 100 ms per request", f"lambda {processor}", gb_s)


def _preparation(config: Mapping[str, Any]) -> Iterator[Line]:
    hours = config["usage.preparation_hours"] * config["usage.runs_per_month"]
    share = price_list()["spot_shares"]["ec2"]
    n_nodes = 0.0
    for fleet in ("primary", "core", "task"):
        (name, *_) = config[f"spark.cluster.{fleet}.instance_types"]
        nodes = (
            1 if fleet == "primary" else config[f"spark.cluster.{fleet}.units"] / instance_type(name).vcpus
        )
        n_nodes += nodes
        spot = fleet == "task"
        label = f"EMR {fleet} nodes, {name}" + (
            f" on spot at {share:.0%} of the price on demand" if spot else ""
        )
        yield _line(f"{label}: EC2", f"ec2 {name}", nodes * hours, share=share if spot else 1)
        yield _line(f"EMR {fleet} nodes, {name}: EMR", f"emr {name}", nodes * hours)
    yield _line(
        "EMR volumes, gp3", "volume gp3", n_nodes * config["spark.cluster.volume_gib"] * hours / HOURS
    )


def _training(config: Mapping[str, Any]) -> Iterator[Line]:
    runs = config["usage.runs_per_month"]
    share = price_list()["spot_shares"]["job"] if config["training.use_spot"] else 1
    name, evaluated = config["training.instance_type"], config["training.evaluation_instance_type"]
    spot = f" on spot at {share:.0%} of the price on demand" if config["training.use_spot"] else ""
    yield _line(f"Training, {name}{spot}", f"job {name}", config["usage.training_hours"] * runs, share=share)
    yield _line(f"Evaluation, {evaluated}", f"job {evaluated}", config["usage.evaluation_hours"] * runs)
    build = config["training.build.compute_type"]
    yield _line(f"CodeBuild, {build}", f"codebuild {build}", config["usage.build_hours"] * runs * 60)


def _storage_and_monitoring(
    by_type: Mapping[str, list[PreviewedResource]], config: Mapping[str, Any]
) -> Iterator[Line]:
    zones = sum(
        len(each.inputs.get("subnetIds", []))
        for each in by_type.get("aws:ec2/vpcEndpoint:VpcEndpoint", [])
        if each.inputs.get("vpcEndpointType") == "Interface"
    )
    yield _line("VPC interface endpoints", "interface endpoint", zones * HOURS)
    yield _line("S3 storage", "s3", config["usage.stored_gb"])
    yield _line("CloudWatch Logs, ingested", "logs", config["usage.logged_gb_per_month"])
    alarms = by_type.get("aws:cloudwatch/metricAlarm:MetricAlarm", [])
    yield _line("CloudWatch alarms, by metric", "alarm", sum(map(_n_metrics, alarms)))
    for label, key, type_ in (
        ("CloudWatch dashboard", "dashboard", "aws:cloudwatch/dashboard:Dashboard"),
        ("KMS key", "kms key", "aws:kms/key:Key"),
    ):
        yield _line(label, key, len(by_type.get(type_, [])))
    yield _line("CloudWatch metrics of the platform", "metric", len(_custom_metrics(by_type)))


def _n_metrics(alarm: PreviewedResource) -> int:
    """Metrics that an alarm is billed for: those of its expression, or one."""
    return sum("metric" in query for query in alarm.inputs.get("metricQueries", [])) or 1


def _custom_metrics(by_type: Mapping[str, list[PreviewedResource]]) -> set[str]:
    """Metrics that alarms or dashboards show and no AWS service publishes."""
    alarms = by_type.get("aws:cloudwatch/metricAlarm:MetricAlarm", [])
    queries = (query for each in alarms for query in each.inputs.get("metricQueries", []))
    metrics = [
        *(each.inputs for each in alarms),
        *(query["metric"] for query in queries if "metric" in query),
    ]
    watched = [
        (each["namespace"], each.get("metricName"), each.get("dimensions"))
        for each in metrics
        if "namespace" in each
    ]
    for dashboard in by_type.get("aws:cloudwatch/dashboard:Dashboard", []):
        for widget in json.loads(dashboard.inputs["dashboardBody"])["widgets"]:
            for line in widget["properties"].get("metrics", []):
                names = [part for part in line if isinstance(part, str)]
                watched.append((names[0], names[1], dict(zip(names[2::2], names[3::2], strict=True))))
    return {json.dumps(each, sort_keys=True) for each in watched if not str(each[0]).startswith("AWS/")}


def _line(item: str, key: str, units: float, *, share: float = 1) -> Line:
    price = price_list()["prices"].get(key)
    if price is None:
        return Line(
            item=f"{item} (no price of `{key}` in prices.yaml)", unit="", usd_per_unit=None, units=units
        )
    mark = "" if price.get("compared") else "†"  # the note explains it
    return Line(item=item + mark, unit=price["unit"], usd_per_unit=price["usd"] * share, units=units)
