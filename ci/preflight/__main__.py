"""Check, without changing anything, whether an AWS account has what a stage needs.

Prints a table of quotas, images, roles, cost tag and more, with what to do. Exit code: 0 everything is there;
1 something is missing; 3 nothing is missing, but something could not be checked; 2 the stage is wrong.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ci.preflight import account, deployed
from ci.preflight.finding import Finding, Status, findings_of
from ci.preflight.quotas import check_quotas
from ci.preflight.stage import StageFileError, StageInAccount, load_stage

CLIENT_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})
ROOT = Path(__file__).resolve().parents[2]
EXIT_MISSING, EXIT_WRONG_STAGE, EXIT_UNKNOWN = 1, 2, 3
STYLES = {Status.OK: "green", Status.MISSING: "red", Status.UNKNOWN: "yellow", Status.LATER: "dim"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def connect(service: str, region: str) -> Any:
    """AWS client with timeouts."""
    return boto3.client(service, region_name=region, config=CLIENT_CONFIG)


def findings(stage: StageInAccount) -> list[Finding]:
    """Findings of every check."""
    checks = (*account.CHECKS, ("quotas", check_quotas), *deployed.CHECKS)
    return [each for subject, check in checks for each in findings_of(subject, partial(check, stage))]


def exit_code(found: list[Finding]) -> int:
    """Exit code of the command."""
    statuses = {each.status for each in found}
    if Status.MISSING in statuses:
        return EXIT_MISSING
    return EXIT_UNKNOWN if Status.UNKNOWN in statuses else 0


def table(title: str, found: list[Finding]) -> Table:
    """Findings as a table; what is missing comes first."""
    order = [Status.MISSING, Status.UNKNOWN, Status.LATER, Status.OK]
    result = Table("subject", "status", "needed", "present", "what to do", title=title, title_justify="left")
    for each in sorted(found, key=lambda each: order.index(each.status)):
        status = Text(each.status.value, STYLES[each.status])
        result.add_row(Text(each.subject), status, *map(Text, (each.needed, each.present, each.action)))
    return result


@app.command(help=__doc__)
def main(
    stage: Annotated[str, typer.Argument(help="Stage: dev, prod, or another Pulumi.<stage>.yaml.")],
) -> None:
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        checked = load_stage(stage, ROOT, os.environ, connect)
        title = f"{stage} in account {checked.account_id}, {checked.config.region}"
    except (StageFileError, BotoCoreError, ClientError) as error:
        err.print(f"preflight: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_WRONG_STAGE) from None
    found = findings(checked)
    out.print(table(title, found))
    counts = {status: sum(each.status is status for each in found) for status in Status}
    out.print(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    raise typer.Exit(exit_code(found))


if __name__ == "__main__":
    app(prog_name="python -m ci.preflight")
