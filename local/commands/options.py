"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PORT = 4566  # conventional port of AWS emulators

StageOption = Annotated[str, typer.Option(help="Stage: dev, prod, or another Pulumi.<stage>.yaml.")]
TitlesOption = Annotated[
    Path | None,
    typer.Option(help="Titles for the console: a text file whose first columns are item id and title."),
]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port; a free one is used if it is in use.")]
