"""Physical names, generated like those of the Pulumi engine.

https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming-configuration
"""

from __future__ import annotations

import re
import secrets

from local.deploy.errors import ProjectError

DEFAULT_PATTERN = "${name}-${hex(7)}"
_PART = re.compile(r"\$\{([^}]*)\}")
_HEX = re.compile(r"hex\((\d+)\)")


def expand(pattern: str, *, project: str, stage: str, name: str) -> str:
    """Physical name of an auto-naming pattern, with new random digits.

    Raises:
        ProjectError: the pattern contains an unknown expression.
    """
    words = {"project": project, "stack": stage, "name": name}

    def part(match: re.Match[str]) -> str:
        expression = match[1]
        if expression in words:
            return words[expression]
        if digits := _HEX.fullmatch(expression):
            return secrets.token_hex(int(digits[1]))[: int(digits[1])]
        raise ProjectError(f"pulumi:autonaming: ${{{expression}}} is unknown: write one of {known}")

    known = "${project}, ${stack}, ${name}, ${hex(n)}"
    return _PART.sub(part, pattern)
