"""Buildspecs: parsed fields, refused content, and the script that runs a phase."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.services.codebuild.buildspec import BuildspecError, parse, script, source_location


def test_supported_fields_are_parsed() -> None:
    spec = parse(
        """
        version: 0.2
        env:
          shell: bash
          variables: {A: 1, B: true}
        phases:
          install: {runtime-versions: {python: 3.11}, commands: [one, two]}
          build: {on-failure: ABORT, commands: [three], finally: [four]}
        """
    )
    assert spec.shell == "bash"
    assert spec.variables == {"A": "1", "B": "true"}
    assert spec.phases["install"].commands == ("one", "two")
    assert (spec.phases["build"].finally_, spec.phases["build"].on_failure) == (("four",), "ABORT")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "the buildspec is not YAML"),
        ("just text", "the buildspec: write a mapping"),
        ("version: 0.1\nphases: {}", "version: 0.1; the emulator runs 0.2"),
        ("version: 0.2\nphase: {}", "the buildspec: unknown key 'phase'"),
        ("version: 0.2", "phases: write a mapping"),
        ("version: 0.2\nphases: {deploy: {}}", "phases: unknown key 'deploy'"),
        ("version: 0.2\nphases: {build: {commands: make}}", "phases.build.commands: write a list"),
        ("version: 0.2\nphases: {build: {on-failure: RETRY}}", "phases.build.on-failure: 'RETRY'"),
        ("version: 0.2\nbatch: {}\nphases: {}", "batch: the emulator has no batch builds"),
        ("version: 0.2\nenv: {shell: zsh}\nphases: {}", "env.shell: 'zsh'"),
        ("version: 0.2\nenv: {parameter-store: {P: /p}}\nphases: {}", "env.parameter-store: not supported"),
        ("version: 0.2\nenv: {secrets-manager: {S: id}}\nphases: {}", "env.secrets-manager: not supported"),
        ("version: 0.2\nenv: {exported-variables: [A]}\nphases: {}", "env.exported-variables: not supported"),
        ("version: 0.2\nenv: {variable: {A: 1}}\nphases: {}", "env: unknown key 'variable'"),
    ],
)
def test_unsupported_buildspec_is_refused_with_its_field(text: str, message: str) -> None:
    with pytest.raises(BuildspecError, match=message):
        parse(text)


def run(commands: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Run commands in one shell; returns exit status and output."""
    program = script(commands, str(folder / "state"), succeeding=True)
    done = subprocess.run(
        ["sh", "-c", program], cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_commands_share_directory_and_variables_within_and_across_phases(tmp_path: Path) -> None:
    status, output = run(('export A="it\'s"; B=2', "mkdir d && cd d", 'echo "$A $B"'), tmp_path)
    assert (status, "it's 2" in output) == (0, True)
    status, output = run(('echo "$A in $(basename "$PWD")"',), tmp_path)
    assert (status, "it's in d" in output) == (0, True)


def test_first_failed_command_ends_the_phase_and_its_status_is_written(tmp_path: Path) -> None:
    assert run(("true", "sh -c 'exit 7'", "echo never"), tmp_path) == (
        7,
        "\0run 0\n\0end 0 0\n\0run 1\n\0end 1 7\n",
    )
    assert run(("exit 5",), tmp_path)[0] == 5


@pytest.mark.parametrize("location", ["b/k/x.zip", "arn:aws:s3:::b/k/x.zip", "s3://b/k/x.zip"])
def test_source_location_has_bucket_and_key(location: str) -> None:
    assert source_location(location) == ("b", "k/x.zip")
    with pytest.raises(BuildspecError, match="not an S3 location"):
        source_location("b")
