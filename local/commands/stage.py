"""Commands that query a running stage: `recommend`, `permissions` and `variants`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local.terminal import exit_codes, out

app = typer.Typer()


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    recent: Annotated[
        list[str] | None, typer.Option(help="Item of the user's session; repeat it, newest last.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Item not to recommend; repeat it.")] = None,
) -> None:
    """Request recommendations from the API of the running stage."""
    from local.api import recommend as request_recommendations
    from local.aws import running_stage

    with exit_codes():
        answer = request_recommendations(
            running_stage(), user, k, recent_items=recent or (), exclude_items=exclude or ()
        )
        table = Table("#", "item", "score", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for place, item in enumerate(answer["items"], start=1):
            table.add_row(str(place), Text(item["item_id"]), f"{item['score']:.4f}")
        out.print(
            f"[bold]{escape(answer['user_id'])}[/]: {answer['strategy']}, model {answer['model_version']}"
        )
        if answer.get("ignored_items"):
            out.print(f"{answer['ignored_items']} recent items had no effect", style="dim")
        out.print(table)


@app.command()
def permissions(
    output: Annotated[Path, typer.Option(help="File for the JSON report.")] = Path("out/permissions.json"),
) -> None:
    """Report what the roles of the running stage used, unused grants and refusals."""
    from local.aws import running_stage
    from local.permissions.report import report

    with exit_codes():
        found = report(running_stage())
        found.write(output)
        for label, lines in (("unused grant", found.unused), ("refused", found.refusals)):
            for line in lines:
                out.print(f"{label}: {line}", markup=False, soft_wrap=True)
        out.print(f"{len(found.uses)} uses [dim]written to[/] {output}")


@app.command()
def variants(
    clicks: Annotated[Path, typer.Option(help="CSV file with the columns user_id, item_id and time.")],
    records: Annotated[
        Path | None,
        typer.Option(help="File with lines of the API's log; default: the log of the running stage."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="File with the key of the records; default: that of the running stage."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            help="Time of the first answer (ISO 8601 or Unix seconds); default: before the first click."
        ),
    ] = "",
    versions: Annotated[
        tuple[str, str],
        typer.Option("--versions", help="Model versions to compare: control, treatment."),
    ] = ("", ""),
    *,
    window_minutes: Annotated[int, typer.Option(min=1, help="Time in which a click is a hit.")] = 30,
    reject_if_worse: Annotated[
        bool, typer.Option(help="Reject the package of the treatment if it is worse.")
    ] = False,
) -> None:
    """Compare two models that answered at the same time: errors, latency and hits."""
    from local.variants.command import VariantOptions, run

    with exit_codes():
        run(VariantOptions(clicks, records, key, since, versions, window_minutes, reject_if_worse), out)
