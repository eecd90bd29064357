"""The page of the first deployment: its table of costs follows from the stage files, and its names exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, section, stage_file

PAGE = (ROOT / "docs" / "first-deployment.md").read_text(encoding="utf-8")
COSTS = PAGE[PAGE.index("## Costs per month") : PAGE.index("## Teardown")]
COLUMNS = {"dev": (3, 5), "prod": (4, 6)}  # units and dollars
HOURS, RUNS = 730, 30  # per month; assumptions of the page
PREPARATION_HOURS = {"dev": 1, "prod": 2}
VCPUS = 4  # of an xlarge


def rows() -> dict[str, list[str]]:
    """Cells of the table by item."""
    table = [line for line in COSTS.splitlines() if re.match(r"\| .*\d", line)]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {cells[0]: cells for cells in lines}


def number(cell: str) -> float:
    return float(cell.strip("*†") or 0)


def quantities(stage: str) -> Mapping[str, float]:
    """Quantities per month, by the beginning of the item."""
    spark, serving, network = (section(stage, name) for name in ("spark", "serving", "network"))
    cluster, hours = spark["cluster"], PREPARATION_HOURS[stage] * RUNS
    on_demand, spot = 1 + cluster["core"]["units"] / VCPUS, cluster["task"]["units"] / VCPUS
    interfaces = len(network["interface_endpoints"]) * len(network["availability_zones"])
    build_hours = 2 * RUNS
    return {
        f"Endpoint, `{serving['instance_type']}`": serving["min_instances"] * HOURS,
        "EMR nodes on demand": on_demand * hours,
        "EMR nodes on spot": spot * hours,
        "EMR, ": (on_demand + spot) * hours,
        "EMR volumes": round((on_demand + spot) * cluster["volume_gib"] * hours / HOURS),
        "Training, `ml.m5.xlarge` on spot": RUNS,
        "Evaluation, `ml.m5.xlarge`": RUNS / 2,
        "CodeBuild, `BUILD_GENERAL1_MEDIUM`": build_hours * 60,
        "VPC interface endpoints": interfaces * HOURS,
        "CloudWatch alarms": len(recorded(stage).of("aws:cloudwatch/metricAlarm:MetricAlarm")),
        "CloudWatch dashboard": len(recorded(stage).of("aws:cloudwatch/dashboard:Dashboard")),
        "KMS key": len(recorded(stage).of("aws:kms/key:Key")),
    }


@pytest.mark.parametrize("stage", STAGES)
def test_quantities_of_the_costs_follow_from_the_stage_file(stage: str) -> None:
    column, _ = COLUMNS[stage]
    table = rows()
    for item, expected in quantities(stage).items():
        (cells,) = [cells for name, cells in table.items() if name.startswith(item) and stage_of(name, stage)]
        assert number(cells[column]) == expected, item


def stage_of(item: str, stage: str) -> bool:
    """Whether the item is of this stage, or of every stage."""
    return f"({stage})" in item or not item.endswith(")")


@pytest.mark.parametrize("stage", STAGES)
def test_instance_types_of_the_costs_are_those_of_the_stage_file(stage: str) -> None:
    spark, training = section(stage, "spark"), section(stage, "training")
    assert {
        fleet["instance_types"][0] for fleet in map(spark["cluster"].get, ("primary", "core", "task"))
    } == {"r5.xlarge"}
    assert (training["instance_type"], training["evaluation_instance_type"], training["use_spot"]) == (
        "ml.m5.xlarge",
        "ml.m5.xlarge",
        True,
    )
    assert training["build"]["compute_type"] == "BUILD_GENERAL1_MEDIUM"
    assert stage_file(stage)["aws:region"] == "ap-northeast-2"


@pytest.mark.parametrize("stage", STAGES)
def test_costs_are_units_times_price_and_below_the_budget(stage: str) -> None:
    units, dollars = COLUMNS[stage]
    table = rows()
    total = number(table.pop("**Sum**")[dollars])
    for item, cells in table.items():
        assert number(cells[dollars]) == pytest.approx(number(cells[units]) * number(cells[2]), abs=0.006), (
            item
        )
    assert total == pytest.approx(sum(number(cells[dollars]) for cells in table.values()), abs=0.006)
    assert total < section(stage, "operations")["monthly_budget_usd"]


def test_stack_outputs_of_the_page_exist() -> None:
    for name, stage in re.findall(r"pulumi stack output (\w+) --stack (\w+)", PAGE):
        assert name in recorded(stage).exports, name
    kinds = {"preview", "deploy", "publish"}
    used = set(re.findall(r"\b(\w+_role_arn)\b", PAGE)) - {"airflow_role_arn"}
    assert used <= {f"{stage}_{kind}_role_arn" for stage in STAGES for kind in kinds}
    assert "airflow_role_arn" in recorded("prod").exports


def test_environments_of_the_page_are_those_of_the_pipeline() -> None:
    jobs: dict[str, Any] = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    used = {
        job["environment"]["name"] for job in jobs.values() if isinstance(job, dict) and "environment" in job
    }
    assert set(re.findall(r"^\| `AWS_ROLE_ARN` \| `([\w/]+)` \|", PAGE, re.MULTILINE)) == used
