"""Both versions of a stage: the working tree, and the commit where the branch left the base."""

from __future__ import annotations

import contextlib
import filecmp
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.deploy.errors import ProgramError
from local.deploy.project import stages
from local.errors import EXIT_BAD_INPUT, BadInputError
from local.review.snapshot import Snapshot

GIT = shutil.which("git") or "git"
GIT_TIMEOUT_S = 120
PREVIEW_TIMEOUT_S = 300
ARCHIVE, LOCK = Path("build/spark-packages.zip"), Path("requirements/spark.lock")


def both(stage: str, base: str, root: Path) -> tuple[Snapshot, Snapshot, str]:
    """Snapshots of a stage at the base and in the working tree, and the commit of the base.

    Raises:
        BadInputError: neither version has the stage, its configuration is invalid, or git does not know the
            base.
        ProgramError: a program fails; the message says which.
    """
    commit = merge_base(base, root)
    with worktree(commit, root) as old:
        if not {stage} & {*stages(old), *stages(root)}:
            known = ", ".join(stages(root)) or "none"
            raise BadInputError(f"no stage {stage!r} here or at {base} (stages found: {known})")
        versions = {f"the base {commit[:10]}": old, "the working tree": root}
        present = {name: folder for name, folder in versions.items() if stage in stages(folder)}
        found = dict(zip(present, snapshots(stage, present, root), strict=True))
    before, after = (found.get(name, Snapshot(exists=False)) for name in versions)
    return before, after, commit


def snapshots(stage: str, versions: Mapping[str, Path], root: Path) -> list[Snapshot]:
    """Snapshots of a stage in projects by name, taken in a process without other versions of their packages.

    Raises:
        BadInputError: a configuration is invalid.
        ProgramError: a program fails, or takes longer than `PREVIEW_TIMEOUT_S`.
    """
    projects = [f"{name}={folder}" for name, folder in versions.items()]
    command = [sys.executable, "-m", "local.review.snapshot", stage, *projects]
    key = secrets.token_hex(32)  # of this comparison
    try:
        ended = subprocess.run(
            command,
            cwd=root,
            input=key,
            capture_output=True,
            text=True,
            check=False,
            timeout=PREVIEW_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ProgramError(f"no preview after {PREVIEW_TIMEOUT_S} s") from None
    if ended.returncode != 0:
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise (BadInputError if ended.returncode == EXIT_BAD_INPUT else ProgramError)(reason)
    return [Snapshot.of_json(document) for document in json.loads(ended.stdout)]


def merge_base(base: str, root: Path) -> str:
    """Commit where the checked-out branch left `base`: later commits of the base are no change of the branch.

    Raises:
        BadInputError: git does not know the base, or the clone is too shallow to have the commit.
    """
    known = _git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
    if known.returncode != 0:
        raise BadInputError(f"git has no commit {base!r}: fetch it, or name another with BASE")
    common = _git(root, "merge-base", base, "HEAD")
    if common.returncode != 0:
        raise BadInputError(f"{base!r} and HEAD have no common commit in this clone: git fetch --unshallow")
    return common.stdout.strip()


@contextlib.contextmanager
def worktree(commit: str, root: Path) -> Iterator[Path]:
    """Temporary worktree of a commit, with an archive of Spark's packages."""
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        path = Path(folder, "base")
        added = _git(root, "worktree", "add", "--quiet", "--detach", str(path), commit)
        if added.returncode != 0:
            raise BadInputError(f"git worktree add: {' '.join(added.stderr.split())}")
        try:
            _provide_packages(path, root)
            yield path
        finally:
            _git(root, "worktree", "remove", "--force", str(path))


def _provide_packages(base: Path, root: Path) -> None:
    """Archive of Spark's packages for the base, which git does not have.

    That of the working tree if their locks are equal, otherwise one without packages, which also differs.
    """
    archive, lock = base / ARCHIVE, base / LOCK
    archive.parent.mkdir(exist_ok=True)
    if not lock.exists():
        return
    if (root / ARCHIVE).exists() and filecmp.cmp(lock, root / LOCK, shallow=False):
        shutil.copy(root / ARCHIVE, archive)
        return
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(lock, LOCK.name)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GIT, *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=GIT_TIMEOUT_S
    )
