"""The command in a clone: a changed working tree against the commit where its branch left the base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.preview import ROOT
from tests.local.review.prepared import CHANGES

GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def git(folder: Path, *arguments: str) -> str:
    """Output of git without the user's configuration."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **GIT}
    ended = subprocess.run(
        ["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return ended.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repository with the files of this one, uncommitted ones included, as its only commit."""
    folder = tmp_path_factory.mktemp("clone")
    files = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in files:
        if name.startswith(("tests/", "docs/", "bench/")) or not (ROOT / name).is_file():
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "build").mkdir()
    (folder / "build/spark-packages.zip").symlink_to(ROOT / "build/spark-packages.zip")
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "all")):
        git(folder, *arguments)
    return folder


def review(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command without credentials."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [sys.executable, "-m", "local", "review", *arguments]
    return subprocess.run(
        command, cwd=clone, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_command_compares_the_working_tree_with_the_base(clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "change")
    for edit in (*CHANGES["action_added"]["program"], *CHANGES["tag_changed"]["program"]):
        path = clone / edit["file"]
        assert edit["old"] in path.read_text()
        path.write_text(path.read_text().replace(edit["old"], edit["new"]))

    ended = review(clone, "--stage", "prod", "--base", "main", "--json", "--fail-on", "permissions")

    assert ended.returncode == 3, ended.stderr
    found = json.loads(ended.stdout)
    assert found["verdict"][0].startswith(CHANGES["action_added"]["first"])
    assert any(line.startswith(CHANGES["tag_changed"]["first"]) for line in found["verdict"])
    assert "permissions" in ended.stderr
    assert git(clone, "worktree", "list").count("\n") == 1, "the temporary worktree is removed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "gone"], "git has no commit 'gone'"),
        (
            ["--base", "main", "--stage", "staging"],
            "no stage 'staging' here or at main (stages found: dev, prod)",
        ),
        (["--fail-on", "cost"], "--fail-on cost: write any of replace-protected, policy, permissions"),
    ],
)
def test_wrong_option_is_one_line_that_says_what_to_write(
    clone: Path, arguments: list[str], message: str
) -> None:
    ended = review(clone, *arguments)

    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
