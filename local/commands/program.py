"""Commands that read the Pulumi program without deploying it: `preview` and `review`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from local.commands.options import StageOption
from local.errors import EXIT_RISK
from local.terminal import err, exit_codes, out

app = typer.Typer()


@app.command()
def preview(
    stage: StageOption = "dev",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of {type, name, urn, parent, inputs}.")
    ] = False,
) -> None:
    """List the resources that `pulumi up` would register, without credentials."""
    from local.preview import ROOT, render_tree, to_json
    from local.preview import preview as preview_stage
    from local.review.policy import stage_findings

    with exit_codes():
        resources = preview_stage(stage)
        if as_json:
            typer.echo(json.dumps(to_json(resources), indent=2))
        else:
            render_tree(resources, out)
            for finding in stage_findings(stage, resources, ROOT):
                out.print(f"policy {finding.rule}: {finding.resource}: {finding.message}", markup=False)


@app.command()
def review(
    stage: StageOption = "dev",
    base: Annotated[
        str, typer.Option(help="Branch or commit to compare with, from where HEAD left it.")
    ] = "origin/main",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the note of a merge request.")
    ] = False,
    fail_on: Annotated[
        str,
        typer.Option(help="Exit with code 3 on any of replace-protected, policy, permissions; by commas."),
    ] = "",
) -> None:
    """Show what `pulumi up` would change, compared with another commit, without credentials."""
    from local.preview import ROOT
    from local.review import command, terminal
    from local.review.markdown import markdown

    with exit_codes():
        risks = command.parse_risks(fail_on)
        found = command.run(stage, base, ROOT)
        if as_json:
            typer.echo(json.dumps(terminal.to_json(found), indent=2))
        elif as_markdown:
            typer.echo(markdown(found))
        else:
            terminal.render(found, out)
    if risks & found.risks():
        err.print(f"[red]found:[/] {', '.join(sorted(risks & found.risks()))}")
        raise typer.Exit(EXIT_RISK)
