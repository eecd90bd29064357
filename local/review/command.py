"""The command `review`: take both snapshots and compare them."""

from __future__ import annotations

from pathlib import Path

from local.errors import BadInputError
from local.review.report import Review, Risk, review
from local.review.sources import both


def run(stage: str, base: str, root: Path) -> Review:
    """Review of the working tree against the commit where its branch left `base`.

    Raises:
        BadInputError: the stage or the base does not exist, or a configuration is invalid.
        ProgramError: the program of a version fails.
    """
    before, after, commit = both(stage, base, root)
    return review(stage, commit, before, after)


def parse_risks(text: str) -> set[Risk]:
    """Risks of the option `--fail-on`.

    Raises:
        BadInputError: a name is unknown; the message lists the known ones.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Risk)]
    if unknown:
        raise BadInputError(f"--fail-on {unknown[0]}: write any of {', '.join(Risk)}")
    return {Risk(name) for name in names}
