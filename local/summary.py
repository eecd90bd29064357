"""Result of ``make up``: ``out/run.json``, and a summary on the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.timeline import MARKS
from ml.settings.metrics import GATED_METRICS

BAR_WIDTH = 24
ITEMS_SHOWN = 8


@dataclass(frozen=True)
class Summary:
    """Result of one run; its fields are those of ``out/run.json``."""

    stage: str
    run_id: str
    timeline: list[dict[str, Any]]
    metrics: dict[str, dict[str, float]]
    recommendations: list[dict[str, Any]]
    model_version: str
    api_url: str
    counts: dict[str, Any]
    training_notes: list[str]  # sentences on the parts of the model that validation selected

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.__dict__, indent=2, ensure_ascii=False) + "\n")
        partial.replace(path)

    def show(self, console: Console) -> None:
        console.print()
        title = f"[bold]{self.stage}[/] serves model [bold]{self.model_version}[/]"
        body = Group(
            Columns(
                [self._timeline_table(), Padding(Group(self._metrics_table(), self._counts()), (0, 0, 0, 3))]
            ),
            Text("\n" + "\n".join(self.training_notes) + "\n", style="dim"),
            self._recommendations_table(),
        )
        console.print(Panel(body, title=title, title_align="left", border_style="green", padding=(1, 2)))

    def _timeline_table(self) -> Table:
        table = _table("step", "s", "")
        longest = max(row["seconds"] for row in self.timeline) or 1.0
        for row in self.timeline:
            bar = "█" * max(1, round(BAR_WIDTH * row["seconds"] / longest))
            table.add_row(row["step"], f"{row['seconds']:.1f}", Text(bar, style=MARKS[row["status"]][1]))
        return table

    def _metrics_table(self) -> Table:
        table = _table("", *(metric.label for metric in GATED_METRICS))
        for name, style in (("model", "bold"), ("popularity", "dim")):
            values = self.metrics[name]
            table.add_row(Text(name, style=style), *(f"{values[metric.key]:.3f}" for metric in GATED_METRICS))
        gains = [self.metrics["model"][m.key] - self.metrics["popularity"][m.key] for m in GATED_METRICS]
        table.add_row(Text("gain", style="green"), *(Text(f"{gain:+.3f}", style="green") for gain in gains))
        return table

    def _counts(self) -> Text:
        counts = self.counts
        quarantined = sum(counts["quarantined"].values())
        return Text(
            f"\n{counts['events_read']:,} events read, {counts['kept']:,} kept\n"
            f"{quarantined:,} quarantined, {counts['duplicates']:,} duplicates, "
            f"{counts['filtered']:,} filtered\n"
            f"{counts['users']:,} users, {counts['items']:,} items",
            style="dim",
        )

    def _recommendations_table(self) -> Table:
        table = _table("user", "strategy", f"first {ITEMS_SHOWN} items")
        for row in self.recommendations:
            items = ", ".join(item["item_id"] for item in row["items"][:ITEMS_SHOWN])
            table.add_row(Text(row["user_id"]), row["strategy"], Text(items))
        return table


def _table(*columns: str) -> Table:
    numeric = {"s", *(metric.label for metric in GATED_METRICS)}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left")
    return table
