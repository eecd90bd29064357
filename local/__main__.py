"""Run the recommender platform on this machine, without an AWS account, Docker or a network."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local import clients
from local.console.source import Source
from local.errors import EXIT_RISK
from local.job_options import JobCommand, explain_data, parse_job_options, stage_job
from local.terminal import err, exit_codes, out, serve_until_interrupted

DEFAULT_PORT = 4566  # conventional port of AWS emulators

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StageOption = Annotated[str, typer.Option(help="Stage: dev, prod, or another Pulumi.<stage>.yaml.")]
TitlesOption = Annotated[
    Path | None,
    typer.Option(help="Titles for the console: a text file whose first columns are item id and title."),
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; a free one is used if it is in use.")]


@app.command(cls=JobCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def up(
    context: typer.Context,
    *,
    stage: StageOption = "dev",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Interactions with user, item and time: delimited text, JSON lines, Parquet or "
            "another common format; a file or a folder."
        ),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the API and the console running until Ctrl-C.")
    ] = False,
    titles: TitlesOption = None,
    port: PortOption = DEFAULT_PORT,
    output: Annotated[Path, typer.Option(help="File for the JSON summary of the run.")] = Path(
        "out/run.json"
    ),
) -> None:
    """Deploy a stage, prepare data, then train, register and serve a model.

    Takes the options of the preparation job, too.
    """
    with exit_codes():
        job_options = parse_job_options(context.args)
        data = data.expanduser() if data is not None else None
        names = item_titles(titles)
        if data is not None:  # before anything is deployed
            explained = explain_data(data, stage_job(stage), job_options)
            job_options = explained.options  # the job does not detect again
            for line in explained.lines:
                out.print(line, markup=False, soft_wrap=True, style="dim")
        from local.up import UpOptions
        from local.up import up as run_up

        with run_up(UpOptions(stage, data, port, output, job_options), out) as deployed:
            out.print(f"[dim]written to[/] {output}")
            if serve:
                with open_console(deployed, names) as url:
                    serve_until_interrupted(_usage(deployed.outputs["api_url"], url))


@app.command(cls=JobCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="More interactions, in the formats of `up --data`.")],
) -> None:
    """Add interactions to the running stage, and train a model that replaces the current one.

    Takes the options of the preparation job, too; files of a new form need --layout detect.
    """
    from local.aws import running_stage
    from local.preparation import upload_interactions
    from local.timeline import Timeline
    from local.up import train as train_run
    from ml.contract import run_id_of

    with exit_codes():
        job_options = parse_job_options(context.args)
        stage = running_stage()
        with Timeline(out) as timeline:
            with timeline.step("upload", str(data)):
                upload_interactions(stage, data)
            run_id = run_id_of(datetime.now(UTC))
            _, evaluation = train_run(stage, run_id, timeline, job_options)
        out.print(f"model [bold]{run_id}[/] is deployed: HR@10 {evaluation['model']['hr_at_10']:.3f}")


@app.command(cls=JobCommand, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def tune(
    context: typer.Context,
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Interactions in the formats of `up --data`, or the folder of a prepared run; default: a "
            "synthetic shop."
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.0, help="Time of the trials; a training is not cut off.")
    ] = 20.0,
    stage: StageOption = "dev",
    preset: Annotated[
        str | None, typer.Option(help="Preset to start from; default: the stage's hyperparameters.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the trainings and of the search.")] = 42,
    output: Annotated[Path, typer.Option(help="Folder for the search and its result.")] = Path("out/tune"),
) -> None:
    """Search better hyperparameters on the validation split; run it again to go on.

    Takes the options of the preparation job, too.
    """
    with exit_codes():
        from local.tune.command import TuneOptions
        from local.tune.command import run as run_search
        from local.up import synthetic_interactions

        job_options = parse_job_options(context.args)
        options = TuneOptions(
            stage=stage,
            data=data.expanduser() if data is not None else synthetic_interactions(),
            job_options=job_options,
            preset=preset,
            minutes=minutes,
            seed=seed,
            output=output,
        )
        path = run_search(options, lambda line: out.print(line, markup=False, soft_wrap=True))
        out.print(path.read_text(encoding="utf-8"), markup=False, soft_wrap=True)
        out.print(f"[dim]written to[/] {path}: the section is for ncf:training in Pulumi.{stage}.yaml")


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
    versions: Annotated[
        tuple[str, str],
        typer.Option("--versions", help="Model versions to compare: control, treatment."),
    ] = ("", ""),
    window_minutes: Annotated[int, typer.Option(min=1, help="Time in which a click is a hit.")] = 30,
    *,
    reject_if_worse: Annotated[
        bool, typer.Option(help="Reject the package of the treatment if it is worse.")
    ] = False,
) -> None:
    """Compare two models that answered at the same time: errors, latency and hits."""
    from local.variants.command import VariantOptions, run

    with exit_codes():
        run(VariantOptions(clicks, records, versions, window_minutes, reject_if_worse), out)


@app.command()
def cloud(
    port: PortOption = DEFAULT_PORT,
    region: Annotated[str, typer.Option(help="Region of requests without one.")] = "ap-northeast-2",
) -> None:
    """Run the AWS emulator alone, for any AWS client, until Ctrl-C."""
    from emulator.app import Emulator

    with exit_codes(), Emulator(region=region).start(port) as emulator:
        if emulator.moved:
            err.print(f"port {port} is in use: using {emulator.port} instead")
        serve_until_interrupted(clients.instructions(emulator.url, region))


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


def _usage(api_url: str, console_url: str) -> str:
    url = api_url.rstrip("/")
    return (
        f"\nserving at [bold]{url}[/]  (Ctrl-C stops it)\n"
        f"console at [bold]{console_url}[/]\n"
        f"  curl '{url}/recommendations/USER?k=10'\n"
        "  .venv/bin/python -m local recommend USER --recent ITEM --recent NEWER_ITEM\n"
        "  .venv/bin/python -m local train MORE_INTERACTIONS\n"
    )


if __name__ == "__main__":
    # Its libraries create a million objects that stay: by default, a quarter of the CPU time of a preview is
    # that of garbage collections among them.
    gc.set_threshold(20_000)
    app()
