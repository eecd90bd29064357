"""`ci.bundle`: reproducible archive, its checksum file and its content."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ci.bundle import bundled_files, write_bundle
from ml.ncf.jobs import packages

ROOT = Path(__file__).resolve().parents[2]


def bundle(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command without third-party packages, as on a Jenkins agent."""
    command = [sys.executable, "-S", "-m", "ci.bundle", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("ml/b.py", "ml/a.py", "ml/deep/c.py", "requirements/lock.txt"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "tree"


def test_bundle_does_not_depend_on_file_times_and_modes(tree: Path, tmp_path: Path) -> None:
    first = write_bundle(tree, tmp_path / "one" / "source.zip")
    for path in tree.rglob("*.py"):
        os.utime(path, (0, 1_700_000_000))
        path.chmod(0o600)
    assert write_bundle(tree, tmp_path / "two" / "source.zip") == first
    assert (tmp_path / "one/source.zip").read_bytes() == (tmp_path / "two/source.zip").read_bytes()


def test_entries_are_sorted_by_path(tree: Path, tmp_path: Path) -> None:
    (tree / "ml/z.py").write_text("sorted after ml/deep/c.py; a directory walk finds it first")
    write_bundle(tree, tmp_path / "source.zip")
    names = zipfile.ZipFile(tmp_path / "source.zip").namelist()
    assert names == sorted(names)
    assert "ml/z.py" in names


def test_content_files_and_names_change_the_checksum(tree: Path, tmp_path: Path) -> None:
    digests = [write_bundle(tree, tmp_path / "source.zip")]
    (tree / "ml/a.py").write_text("changed")
    digests.append(write_bundle(tree, tmp_path / "source.zip"))
    (tree / "ml/new.py").write_text("")
    digests.append(write_bundle(tree, tmp_path / "source.zip"))
    (tree / "ml/new.py").rename(tree / "ml/newer.py")
    digests.append(write_bundle(tree, tmp_path / "source.zip"))
    assert len(set(digests)) == 4


def test_caches_are_not_bundled(tree: Path) -> None:
    before = list(bundled_files(tree))
    (tree / "ml/__pycache__").mkdir()
    (tree / "ml/__pycache__/a.cpython-311.pyc").write_bytes(b"x")
    assert list(bundled_files(tree)) == before


def test_checksum_file_has_the_format_of_sha256sum(tree: Path, tmp_path: Path) -> None:
    digest = write_bundle(tree, tmp_path / "source.zip")
    assert (tmp_path / "source.zip.sha256").read_text() == f"{digest}  source.zip\n"
    assert hashlib.sha256((tmp_path / "source.zip").read_bytes()).hexdigest() == digest


def test_project_bundle_contains_the_pipeline_and_no_infrastructure(tmp_path: Path) -> None:
    write_bundle(ROOT, tmp_path / "source.zip")
    names = set(zipfile.ZipFile(tmp_path / "source.zip").namelist())
    assert {"ml/contract.py", "ml/pipeline/__main__.py", "requirements/pipeline.txt"} <= names
    assert not {name for name in names if name.startswith(("stacks/", "components/", "local/", "tests/"))}


def test_root_without_the_source_is_refused_in_one_line(tmp_path: Path) -> None:
    done = bundle("--root", str(tmp_path), "--output", str(tmp_path / "source.zip"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "ml: no such folder" in done.stderr
    assert not (tmp_path / "source.zip").exists()


def test_bundle_command_uses_only_the_standard_library(tmp_path: Path) -> None:
    assert bundle("--output", str(tmp_path / "source.zip")).returncode == 0
    assert (tmp_path / "source.zip.sha256").exists()


def test_wheels_are_bundled_where_the_jobs_look_for_them(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no wheel; download them with pip download"):
        write_bundle(tree, tmp_path / "source.zip", tmp_path)
    (tmp_path / "faiss-1-cp310-abi3-any.whl").write_bytes(b"wheel")
    write_bundle(tree, tmp_path / "source.zip", tmp_path)
    folder = packages.FOLDER.relative_to(ROOT).as_posix()
    assert zipfile.ZipFile(tmp_path / "source.zip").read(f"{folder}/faiss-1-cp310-abi3-any.whl") == b"wheel"


def test_wheel_for_one_version_of_python_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "faiss-1-cp312-cp312-any.whl"
    wheel.write_bytes(b"wheel")
    done = bundle("--wheels", str(tmp_path), "--output", str(tmp_path / "source.zip"))
    assert done.returncode == 2
    assert done.stderr.startswith(f"bundle: {wheel}: for one version of Python")
