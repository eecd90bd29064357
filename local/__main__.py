"""Run the recommender platform on this machine, without an AWS account, Docker or a network."""

from __future__ import annotations

import gc

import typer

from local.commands import cloud, console, program, stage, training

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for group in (training, program, stage, cloud, console):  # --help lists their commands in this order
    app.add_typer(group.app)


if __name__ == "__main__":
    # Its libraries create a million objects that stay: by default, a quarter of the CPU time of a preview is
    # that of garbage collections among them.
    gc.set_threshold(20_000)
    app()
