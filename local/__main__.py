"""The platform on one machine, with no account, no Docker and no network."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import requests
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_REJECTED,
    BadInputError,
    StepFailedError,
)

DEFAULT_PORT = 4566  # where clients of an AWS emulator look first

# The endpoints that the AWS provider must be pointed at for this program, as its configuration spells them.
PROVIDER_SERVICES = (
    *("apigatewayv2", "appautoscaling", "budgets", "cloudwatch", "codebuild", "ec2", "emr", "events", "iam"),
    *("kms", "lambda", "logs", "s3", "sagemaker", "scheduler", "sns", "sqs", "sts"),
)

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

StageOption = Annotated[str, typer.Option(help="The stage: dev, prod, or any other Pulumi.<stage>.yaml.")]
PortOption = Annotated[
    int, typer.Option(min=0, max=65535, help="The port; when it is taken, another one is.")
]


@app.command()
def up(
    stage: StageOption = "dev",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Interactions: MovieLens u.data or ratings.dat, CSV, TSV, Parquet, or a folder of them."
        ),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Leave the API running until Ctrl-C.")] = False,
    port: PortOption = DEFAULT_PORT,
    output: Annotated[Path, typer.Option(help="Where the run's JSON goes.")] = Path("out/run.json"),
) -> None:
    """Deploy a stage here, prepare data, and let the events train, register and serve a model."""
    from local.up import UpOptions
    from local.up import up as run_up

    with ends_well(), run_up(UpOptions(stage, data, port, output), out) as deployed:
        out.print(f"[dim]written to[/] {output}")
        if serve:
            serve_until_interrupted(_how_to_use(deployed.outputs["api_url"]))


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="More interactions, as `up --data` takes them.")],
) -> None:
    """Add interactions to the stage that serves here, and follow the new model until it is served."""
    from local.aws import running_stage
    from local.preparation import upload_interactions
    from local.timeline import Timeline
    from local.up import train as train_run
    from ml.contract import run_id_of

    with ends_well():
        stage = running_stage()
        with Timeline(out) as timeline:
            with timeline.step("upload", str(data)):
                upload_interactions(stage, data)
            run_id = run_id_of(datetime.now(UTC))
            _, evaluation = train_run(stage, run_id, timeline)
        out.print(f"model [bold]{run_id}[/] is served: HR@10 {evaluation['model']['hr_at_10']:.3f}")


@app.command()
def preview(
    stage: StageOption = "dev",
    as_json: Annotated[
        bool, typer.Option("--json", help="A list of {type, name, urn, parent, inputs}.")
    ] = False,
) -> None:
    """Show what `pulumi up` would register, without credentials."""
    from local.preview import preview as preview_stage
    from local.preview import render_tree, to_json

    with ends_well():
        resources = preview_stage(stage)
        if as_json:
            typer.echo(json.dumps(to_json(resources), indent=2))
        else:
            render_tree(resources, out)


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="A user id of the data.")],
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
) -> None:
    """Ask the API that serves here."""
    from local.api import recommend as ask
    from local.aws import running_stage

    with ends_well():
        answer = ask(running_stage(), user, k)
        table = Table("#", "item", "score", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for place, item in enumerate(answer["items"], start=1):
            table.add_row(str(place), Text(item["item_id"]), f"{item['score']:.4f}")
        out.print(
            f"[bold]{escape(answer['user_id'])}[/]: {answer['strategy']}, model {answer['model_version']}"
        )
        out.print(table)


@app.command()
def cloud(
    port: PortOption = DEFAULT_PORT,
    region: Annotated[str, typer.Option(help="The region of requests that name none.")] = "ap-northeast-2",
) -> None:
    """Run the emulator alone, for any AWS client, until Ctrl-C."""
    from emulator.app import Emulator

    with ends_well(), Emulator(region=region).start(port) as emulator:
        if emulator.moved:
            err.print(f"port {port} is in use: {emulator.port} is taken instead")
        serve_until_interrupted(_client_settings(emulator.url, region))


@contextmanager
def ends_well() -> Iterator[None]:
    """Errors become one clear line and an exit code; SIGTERM ends what Ctrl-C would."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # SIGINT too: a shell's background jobs start with it ignored.
        signal.signal(signum, signal.default_int_handler)
    try:
        yield
    except BadInputError as error:
        err.print(f"[red]bad input:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except StepFailedError as error:
        for line in error.log_lines:
            err.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
        name = "rejected" if error.rejected else "failed"
        reason = escape(" ".join(error.reason.split()))
        err.print(f"[red]{error.step} {name}:[/] {reason}", soft_wrap=True)
        raise typer.Exit(EXIT_REJECTED if error.rejected else EXIT_FAILED) from None
    except (BotoCoreError, ClientError, requests.RequestException) as error:
        err.print(f"[red]failed:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        err.print("interrupted; everything that was started has ended")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def serve_until_interrupted(message: str) -> None:
    """Says what is served, and blocks until Ctrl-C or SIGTERM, which here is no failure."""
    try:
        out.print(message, soft_wrap=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        out.print("\nstopped")


def _how_to_use(api_url: str) -> str:
    url = api_url.rstrip("/")
    return (
        f"\nserving at [bold]{url}[/]  (Ctrl-C stops it)\n"
        f"  curl '{url}/recommendations/USER?k=10'\n"
        "  .venv/bin/python -m local recommend USER\n"
        "  .venv/bin/python -m local train MORE_INTERACTIONS\n"
    )


def _client_settings(url: str, region: str) -> str:
    endpoints = ", ".join(f"{service}: {url}" for service in PROVIDER_SERVICES)
    return (
        f"the emulator listens at [bold]{url}[/]  (Ctrl-C stops it)\n\n"
        "[dim]# boto3, the aws command line, and most other clients[/]\n"
        f"export AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={region}\n"
        "export AWS_ACCESS_KEY_ID=embedded AWS_SECRET_ACCESS_KEY=embedded\n\n"
        "[dim]# pulumi up itself: under config in a Pulumi.<stage>.yaml of its own[/]\n"
        "  aws:skipCredentialsValidation: true\n"
        "  aws:skipRequestingAccountId: true\n"
        "  aws:skipMetadataApiCheck: true\n"
        "  aws:s3UsePathStyle: true\n"
        f"  aws:endpoints: {escape('[{')}{endpoints}}}]\n"
    )


if __name__ == "__main__":
    app()
