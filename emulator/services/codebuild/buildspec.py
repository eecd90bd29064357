"""Buildspecs: parser, and the shell script that runs a phase (CodeBuild user guide, version 0.2)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
TOP_LEVEL_KEYS = {"version", "run-as", "env", "phases", "artifacts", "cache", "reports", "batch", "proxy"}
# Keys that the emulator does not support, and the features that they configure.
UNSUPPORTED_KEYS = {
    "batch": "batch builds",
    "proxy": "proxies",
    "reports": "report groups",
    "run-as": "other users",
}
ENV_KEYS = {"shell", "variables"}
UNSUPPORTED_ENV_KEYS = {
    "exported-variables",
    "git-credential-helper",
    "parameter-store",
    "secrets-manager",
}
PHASE_KEYS = {"commands", "finally", "on-failure", "runtime-versions"}
MARK = "\x00"  # begins the lines that the script itself writes; commands do not write it


class BuildspecError(Exception):
    """A buildspec cannot be run; the message names the field."""


@dataclass(frozen=True)
class Phase:
    """Commands of one phase; ``finally_`` run also after a failed command."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    on_failure: str = ""
    runtime_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Buildspec:
    """A buildspec of version 0.2."""

    phases: Mapping[str, Phase]
    shell: str = "sh"
    variables: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Buildspec:
    """Parse a buildspec.

    Raises:
        BuildspecError: it is not YAML, or has content that CodeBuild or the emulator does not support.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildspecError(f"the buildspec is not YAML: {' '.join(str(error).split())}") from error
    document = _mapping(document, "the buildspec")
    _check_keys(document, TOP_LEVEL_KEYS, "the buildspec")
    if str(document.get("version")) != "0.2":
        raise BuildspecError(f"version: {document.get('version')!r}; the emulator runs 0.2")
    for key, feature in UNSUPPORTED_KEYS.items():
        if key in document:
            raise BuildspecError(f"{key}: the emulator has no {feature}")
    phases = _mapping(document.get("phases"), "phases")
    _check_keys(phases, set(PHASES), "phases")
    env = _mapping(document.get("env") or {}, "env")
    for key in env.keys() & UNSUPPORTED_ENV_KEYS:
        raise BuildspecError(f"env.{key}: not supported by the emulator")
    _check_keys(env, ENV_KEYS, "env")
    shell = str(env.get("shell", "sh"))
    if shell not in ("sh", "bash"):
        raise BuildspecError(f"env.shell: {shell!r}; the emulator has sh and bash")
    return Buildspec(
        phases={name: _phase(name, content) for name, content in phases.items()},
        shell=shell,
        variables=_strings(env.get("variables"), "env.variables"),
    )


def script(commands: tuple[str, ...], state: str, succeeding: bool) -> str:
    """Shell script that runs commands in one shell.

    It restores working directory and variables from the file ``state``, and saves them when it ends. Before
    and after each command it writes a line that begins with `MARK`: ``run N`` and ``end N STATUS``. The first
    command that fails ends it.

    Args:
        succeeding: value of CODEBUILD_BUILD_SUCCEEDING.
    """
    lines = [
        f"__state={shlex.quote(state)}",
        'if [ -f "$__state" ]; then . "$__state"; cd "$__directory"; fi',
        f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)}",
        '__save() { export __directory="$PWD"; export -p > "$__state"; }',
        "trap __save EXIT",
    ]
    for number, command in enumerate(commands):
        lines += [
            f"printf '\\000run {number}\\n'",
            f"eval {shlex.quote(command)}",
            "__status=$?",
            f"printf '\\000end {number} %s\\n' \"$__status\"",
            '[ "$__status" -eq 0 ] || exit "$__status"',
        ]
    return "\n".join([*lines, ""])


def _phase(name: str, content: Any) -> Phase:
    content = _mapping(content, f"phases.{name}")
    _check_keys(content, PHASE_KEYS, f"phases.{name}")
    on_failure = str(content.get("on-failure", ""))
    if on_failure not in ("", "ABORT", "CONTINUE"):
        raise BuildspecError(f"phases.{name}.on-failure: {on_failure!r}; write ABORT or CONTINUE")
    return Phase(
        commands=_commands(content.get("commands"), f"phases.{name}.commands"),
        finally_=_commands(content.get("finally"), f"phases.{name}.finally"),
        on_failure=on_failure,
        runtime_versions=_strings(content.get("runtime-versions"), f"phases.{name}.runtime-versions"),
    )


def _commands(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(command, str) for command in value):
        raise BuildspecError(f"{where}: write a list of commands")
    return tuple(command.rstrip("\n") for command in value)


def _strings(value: Any, where: str) -> dict[str, str]:
    return {str(name): _text(content) for name, content in _mapping(value or {}, where).items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BuildspecError(f"{where}: write a mapping")
    return value


def _check_keys(document: Mapping[str, Any], allowed: set[str], where: str) -> None:
    for key in document:
        if key not in allowed:
            raise BuildspecError(f"{where}: unknown key {key!r}; known keys are {', '.join(sorted(allowed))}")


def source_location(location: str) -> tuple[str, str]:
    """(bucket, key) of an S3 source: ``bucket/key`` or ``arn:aws:s3:::bucket/key``.

    Raises:
        BuildspecError: it has another form.
    """
    match = re.fullmatch(r"(?:arn:[\w-]+:s3:::|s3://)?([^/]+)/(.+)", location)
    if not match:
        raise BuildspecError(f"{location!r} is not an S3 location; write bucket/key")
    return match[1], match[2]
