"""Command that runs the AWS emulator alone: `cloud`."""

from __future__ import annotations

from typing import Annotated

import typer

from local import clients
from local.commands.options import DEFAULT_PORT, PortOption
from local.terminal import err, exit_codes, serve_until_interrupted

app = typer.Typer()


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
