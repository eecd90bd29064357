"""The review on the terminal, and as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.review.difference import NEW_REFERENCE, Kind
from local.review.losses import losses
from local.review.report import Review, headline, label, short, verdict

STYLES = {
    Kind.REPLACED: "bold red",
    Kind.DELETED: "red",
    Kind.CREATED: "green",
    Kind.UPDATED: "yellow",
    Kind.IGNORED: "dim",
}
MAX_INPUTS = 5  # per resource


def render(found: Review, console: Console) -> None:
    """Print the verdict, then each change."""
    console.print(f"review of [bold]{found.stage}[/] against {found.base[:10]}")
    for number, line in enumerate(verdict(found), start=1):
        console.print(Text(f"{number}. {line}", style="bold" if number == 1 else ""), soft_wrap=True)
    for kind in Kind:
        for change in found.of(kind):
            text = headline(change) if kind is Kind.REPLACED else f"{kind.name.lower()}: {label(change)}"
            console.print(Text(f"\n{text}", style=STYLES[kind]), soft_wrap=True)
            for sentence in losses(change):
                console.print(Text(f"  {sentence}"), soft_wrap=True)
            inputs = [each for each in (*change.inputs, *change.ignored) if each.new != NEW_REFERENCE]
            for each in inputs[:MAX_INPUTS]:
                console.print(
                    Text(f"  {each.path}: {short(each.old)} to {short(each.new)}", style="dim"),
                    soft_wrap=True,
                )
            if len(inputs) > MAX_INPUTS:
                console.print(Text(f"  and {len(inputs) - MAX_INPUTS} more inputs", style="dim"))
    for grant in found.grants:
        console.print(
            Text(f"\npermission: {grant.sentence}", style="red" if grant.widens else ""), soft_wrap=True
        )
    if found.config:
        console.print(_configuration(found))
    before, after = found.usd()
    console.print(f"\ncost per month: {before:.2f} to {after:.2f} US dollars (prices.yaml, ncf:usage)")


def _configuration(found: Review) -> Table:
    table = Table("key", "before", "after", "", box=None, header_style="dim", padding=(0, 2, 0, 0))
    for each in found.config:
        row = (each.key, short(each.old), short(each.new), "" if each.in_file else "default changed")
        table.add_row(*map(Text, row))
    return table


def to_json(found: Review) -> dict[str, Any]:
    """The review as JSON values."""
    before, after = found.usd()
    return {
        "stage": found.stage,
        "base": found.base,
        "verdict": verdict(found),
        "risks": sorted(found.risks()),
        "changes": [
            {
                "kind": change.kind.name.lower(),
                "type": change.resource.type,
                "name": change.resource.name,
                "renamed_to": change.after.name if change.renamed and change.after else None,
                "losses": list(losses(change)),
                "ignored": [each.path for each in change.ignored],
                "inputs": [
                    {**dataclasses.asdict(each), "effect": each.effect.value} for each in change.inputs
                ],
            }
            for kind in Kind
            for change in found.of(kind)
        ],
        "permissions": [dataclasses.asdict(each) for each in found.grants],
        "configuration": [dataclasses.asdict(each) for each in found.config],
        "usd_per_month": {"before": round(before, 2), "after": round(after, 2)},
    }
