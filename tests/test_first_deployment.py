"""The page of the first deployment: its table of costs follows from the stage files, and its names exist."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from local.review import cost
from tests.local.snapshots import snapshot
from tests.repository import ROOT, STAGES
from tests.stacks.program import recorded, section

PAGE = (ROOT / "docs" / "first-deployment.md").read_text(encoding="utf-8")
COSTS = PAGE[PAGE.index("## Costs per month") : PAGE.index("## Teardown")]
COLUMNS = {"dev": (3, 5), "prod": (4, 6)}  # units and dollars


def rows() -> dict[str, list[str]]:
    """Cells of the table by item."""
    table = [line for line in COSTS.splitlines() if re.match(r"\| .*\d", line)]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {cells[0]: cells for cells in lines}


def number(cell: str) -> float:
    return float(cell.strip("*") or 0)


@pytest.mark.parametrize("stage", STAGES)
def test_costs_are_those_of_the_estimate(stage: str) -> None:
    units, dollars = COLUMNS[stage]
    table, lines = rows(), {line.item: line for line in cost.lines(snapshot(stage))}
    del table["**Sum**"]
    assert {item for item, cells in table.items() if number(cells[units])} == set(lines)
    for item, line in lines.items():
        assert table[item][1] == line.unit
        assert number(table[item][2]) == pytest.approx(line.usd_per_unit, rel=0.001), item
        assert number(table[item][units]) == pytest.approx(line.units, rel=1e-5), item
        assert number(table[item][dollars]) == pytest.approx(line.usd, abs=0.006), item


@pytest.mark.parametrize("stage", STAGES)
def test_sum_of_the_costs_is_below_the_budget(stage: str) -> None:
    _, dollars = COLUMNS[stage]
    table = rows()
    total = number(table.pop("**Sum**")[dollars])
    assert total == pytest.approx(sum(line.usd for line in cost.lines(snapshot(stage))), abs=0.006)
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
