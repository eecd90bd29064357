"""Logical names instead of the physical names of one deployment, in ARNs of grants and uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.authorization.ledger import Use

_REFERENCE = re.compile(r"\$\{([\w-]+)(?:\.\w+)?\}")
# Parts of names that differ between runs, and their placeholders.
_VARYING = (
    (re.compile(r"\b\d{8}T\d{6}Z\b"), "<run>"),
    (re.compile(r"\bpipelines-[a-z0-9]+-(\w+?)-[A-Za-z0-9]{10}\b"), r"pipelines-<execution>-\1-<id>"),
    (re.compile(r"(?<=/execution/)[a-z0-9]+"), "<execution>"),
    (re.compile(r"(:log-stream:).+"), r"\1<stream>"),
    (re.compile(r"\bj-[A-Z0-9]{10,}\b"), "<cluster>"),
    (re.compile(r"\bs-[A-Z0-9]{10,}\b"), "<step>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"(-v\d+-)[0-9a-zA-Z-]+$"), r"\1<id>"),
    (re.compile(r"\bpart-\d{5}[^/]*"), "<part>"),
)


@dataclass(frozen=True)
class Names:
    """Physical names of one deployment.

    Attributes:
        prefix: prefix of automatic names, ``<project>-<stage>-``.
        account_id: account of the deployment.
        others: physical names without that prefix, to their logical names.
    """

    prefix: str
    account_id: str
    others: Mapping[str, str]

    def logical(self, text: str) -> str:
        """The text with logical names."""
        for physical, name in self.others.items():
            text = text.replace(physical, f"<{name}>")
        automatic = re.compile(rf"(?<![\w-]){re.escape(self.prefix)}([\w-]+?)-[0-9a-f]{{6}}(?![\w-])")
        return automatic.sub(r"<\1>", text).replace(self.account_id, "<account>")

    def role(self, arn: str) -> str:
        """Logical name of a role."""
        return self.logical(arn).rpartition("/")[2].strip("<>")

    def use(self, use: Use) -> Use:
        """The use with logical names, and placeholders for what differs between runs."""
        context = {
            key: self._fixed(value) if isinstance(value, str) else [self._fixed(item) for item in value]
            for key, value in use.context
        }
        return Use.of(self.role(use.role_arn), use.action, self._fixed(use.resource), context)

    def _fixed(self, text: str) -> str:
        return fixed(self.logical(text))


def fixed(text: str) -> str:
    """The text with placeholders for what differs between runs."""
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text


def in_stage(use: Use, source: str, target: str) -> Use:
    """The use as the same code makes it in another stage: fixed names and the tag contain the stage."""

    def moved(text: str) -> str:
        return text.replace(f"ncf-{source}", f"ncf-{target}").replace(f"NCF-{source}", f"NCF-{target}")

    context = {
        key: (target if key.endswith("/Stage") and value == source else moved(value))
        if isinstance(value, str)
        else [moved(item) for item in value]
        for key, value in use.context
    }
    return Use.of(use.role_arn, use.action, moved(use.resource), context)


def of_preview(text: str) -> str:
    """Text of a preview, which has references such as ``${data}``, with logical names."""
    return _REFERENCE.sub(r"<\1>", text)
