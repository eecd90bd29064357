"""What source code uses of torch and numpy, compared with the API of a version of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"(?P<name>[\w.]+)(\((?P<parameters>[\w*, ]*)\))?")
ANY = "*"
DUNDER = re.compile(r"__\w+__")  # lists have public names only


class MissingListError(LookupError):
    """There is no list for a version; the message has the command that writes it."""


@dataclass(frozen=True)
class Api:
    """Public API of a version of a package.

    Attributes:
        pin: package and version, such as ``torch==2.6.0``.
        names: parameters by name; None if they are unknown.
    """

    pin: str
    names: Mapping[str, frozenset[str] | None]

    @property
    def package(self) -> str:
        return self.pin.partition("==")[0]

    def members(self, of: str) -> set[str]:
        """Names of a module or class."""
        start = f"{self.package}.{of}."
        return {name.removeprefix(start).partition(".")[0] for name in self.names if name.startswith(start)}

    def missing(self, name: str) -> str | None:
        """The shortest part of a dotted name that does not exist, or None.

        Members of what is not listed itself, such as a ufunc, and names like ``__version__`` are not checked.
        """
        parts = name.split(".")
        for end in range(2, len(parts) + 1):
            part = ".".join(parts[:end])
            if DUNDER.fullmatch(parts[end - 1]):
                return None
            if part not in self.names and (end == 2 or self.members(".".join(parts[1 : end - 1]))):
                return part
        return None


def api_of(package: str, version: str) -> Api:
    """The committed list of a version.

    Raises:
        MissingListError: there is none.
    """
    pin, path = f"{package}=={version}", Path(__file__).parent / f"{package}-{version}.txt"
    if not path.exists():
        raise MissingListError(f"{path.name} is missing: run python -m ci.container_api {pin}")
    names = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        found = LINE.fullmatch(line)
        assert found, f"{path.name}: {line!r}"
        listed = found["parameters"]
        names[found["name"]] = None if listed is None else frozenset(filter(None, listed.split(", ")))
    return Api(pin, names)


def faults(source: str, api: Api, newer: Mapping[str, set[str]]) -> list[str]:
    """Uses of the package that the version does not have, as ``line: fault``.

    Args:
        source: Python source.
        api: the version.
        newer: by class, names of members that the installed version has and this one does not. An attribute
            with such a name is a fault, whatever it is an attribute of.
    """
    tree = ast.parse(source)
    aliases = _aliases(tree)
    found = {*_unknown_names(tree, aliases, api), *_unknown_keywords(tree, aliases, api)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _dotted(node, aliases) is None:
            found |= {
                (node.lineno, f"{owner}.{node.attr}") for owner, names in newer.items() if node.attr in names
            }
    return [f"{line}: {api.pin} has no {fault}" for line, fault in sorted(found)]


def _unknown_names(tree: ast.Module, aliases: Mapping[str, str], api: Api) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        used = []
        if isinstance(node, ast.Attribute):
            used = [_dotted(node, aliases)]
        elif isinstance(node, ast.ImportFrom) and node.module:
            used = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            used = [alias.name for alias in node.names]
        for name in used:
            if name and name.startswith(f"{api.package}.") and (missing := api.missing(name)):
                yield node.lineno, missing


def _unknown_keywords(tree: ast.Module, aliases: Mapping[str, str], api: Api) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not (name := _dotted(node.func, aliases)):
            continue
        parameters = api.names.get(name)
        if parameters is None or ANY in parameters:
            continue
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in parameters:
                yield node.lineno, f"{name}({keyword.arg}=...)"


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Dotted name by local name, of everything imported."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                found[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str | None:
    """The imported dotted name of an expression, or None."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute) and (start := _dotted(node.value, aliases)):
        return f"{start}.{node.attr}"
    return None
