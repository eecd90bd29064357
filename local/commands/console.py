"""Command that shows a stage on a web page: `console`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from local.commands.options import TitlesOption
from local.console.source import Source
from local.terminal import exit_codes, serve_until_interrupted

app = typer.Typer()


@app.command()
def console(
    *,
    aws: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE",
            help="Stage in an AWS account, read with your credentials; default: the stage that "
            "`make up SERVE=1` serves from this folder.",
        ),
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(help="Output of `pulumi stack output --json`; default: ask the Pulumi CLI."),
    ] = None,
    titles: TitlesOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: a free one.")] = 0,
) -> None:
    """Show a stage on a web page: runs, models, rollout, dead letters, recommendations."""
    with exit_codes():
        names = item_titles(titles)
        if aws is None:
            from local.aws import running_stage

            source: Source = running_stage()
        else:
            from local.console.aws_source import aws_source

            source = aws_source(aws, outputs)
        with open_console(source, names, port) as url:
            serve_until_interrupted(f"console of {source.stage} at [bold]{url}[/]  (Ctrl-C stops it)")


def item_titles(path: Path | None) -> dict[str, str]:
    """Titles by item id; empty without a file."""
    if path is None:
        return {}
    from local.console.users import read_titles

    return read_titles(path)


@contextmanager
def open_console(source: Source, titles: dict[str, str], port: int = 0) -> Iterator[str]:
    """Serve the console of a stage while the block runs; yields its URL."""
    from local.console.server import serve
    from local.console.state import Console as StageConsole

    with serve(StageConsole(source, titles), port) as url:
        yield url
