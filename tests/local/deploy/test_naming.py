"""Auto-naming patterns of the Pulumi project file."""

from __future__ import annotations

import re

import pytest

from local.deploy.errors import ProjectError
from local.deploy.naming import DEFAULT_PATTERN, expand


def test_pattern_is_expanded() -> None:
    name = expand("${project}-${stack}-${name}-${hex(6)}", project="ncf", stage="dev", name="data")

    assert re.fullmatch(r"ncf-dev-data-[0-9a-f]{6}", name)


def test_generated_names_differ() -> None:
    assert len({expand(DEFAULT_PATTERN, project="p", stage="s", name="n") for _ in range(20)}) == 20


def test_unknown_expression_is_refused() -> None:
    with pytest.raises(ProjectError, match=r"\$\{uuid\} is unknown: write one of"):
        expand("${name}-${uuid}", project="p", stage="s", name="n")
