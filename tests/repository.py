"""The stages and the functions of this repository, from its files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGES = tuple(sorted(path.stem.removeprefix("Pulumi.") for path in ROOT.glob("Pulumi.*.yaml")))
FUNCTIONS = tuple(sorted(path.parent.name for path in ROOT.glob("lambdas/*/handler.py")))
