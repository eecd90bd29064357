"""Output and exit codes of the commands."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from local.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_REJECTED,
    BadInputError,
    StepFailedError,
)

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Print an expected error as one line and exit with its code; handle SIGTERM like Ctrl-C."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # SIGINT too: a shell starts background jobs with SIGINT ignored.
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
        err.print("interrupted; all processes have ended")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def serve_until_interrupted(message: str) -> None:
    """Print a message and block until Ctrl-C or SIGTERM; neither is a failure here."""
    try:
        out.print(message, soft_wrap=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        out.print("\nstopped")
