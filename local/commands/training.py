"""Commands that prepare data and train on it: `up`, `train` and `tune`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from local.commands.console import item_titles, open_console
from local.commands.options import DEFAULT_PORT, PortOption, StageOption, TitlesOption
from local.job_options import JobCommand, explain_data, parse_job_options, stage_job
from local.terminal import exit_codes, out, serve_until_interrupted

app = typer.Typer()


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


def _usage(api_url: str, console_url: str) -> str:
    url = api_url.rstrip("/")
    return (
        f"\nserving at [bold]{url}[/]  (Ctrl-C stops it)\n"
        f"console at [bold]{console_url}[/]\n"
        f"  curl '{url}/recommendations/USER?k=10'\n"
        "  .venv/bin/python -m local recommend USER --recent ITEM --recent NEWER_ITEM\n"
        "  .venv/bin/python -m local train MORE_INTERACTIONS\n"
    )
