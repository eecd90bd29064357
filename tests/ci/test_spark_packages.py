"""`ci.spark_packages`: archive of the Spark job's Python packages, built from `requirements/spark.lock`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ci.spark_packages import LOCK_NAME, PackagesError, is_archive_of, labels, unpack
from components.packing import write_file, zip_bytes

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / LOCK_NAME
ARCHIVE = ROOT / "build" / "spark-packages.zip"
NODE_GLIBC = (2, 34)  # EMR 7 runs on Amazon Linux 2023


def wheel(folder: Path, name: str, *files: str) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        for each in files:
            packed.writestr(each, each)
    return path


def test_wheels_are_unpacked_into_one_folder(tmp_path: Path) -> None:
    wheels = [
        wheel(tmp_path, "a", "a/__init__.py", "a-1.0.dist-info/METADATA", "a-1.0.data/scripts/a.py"),
        wheel(tmp_path, "b", "b.py"),
    ]
    assert set(unpack(wheels)) == {"a/__init__.py", "a-1.0.dist-info/METADATA", "b.py"}


def test_files_outside_of_site_packages_and_duplicate_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagesError, match=r"purelib/a\.py belongs outside"):
        unpack([wheel(tmp_path, "a", "a-1.0.data/purelib/a.py")])
    with pytest.raises(PackagesError, match=r"same\.py is also in another wheel"):
        unpack([wheel(tmp_path, "b", "same.py"), wheel(tmp_path, "c", "same.py")])


def test_descriptions_of_services_that_the_job_does_not_call_are_left_out(tmp_path: Path) -> None:
    data = "botocore/data"
    kept = {f"{data}/sts/2011-06-15/service-2.json.gz", f"{data}/endpoints.json", "botocore/session.py"}
    other = {f"{data}/ec2/2016-11-15/service-2.json.gz", f"{data}/s3/2006-03-01/service-2.json.gz"}
    assert set(unpack([wheel(tmp_path, "botocore", *kept, *other)])) == kept


def test_archive_is_valid_only_for_the_lock_that_it_contains(tmp_path: Path) -> None:
    lock, archive = tmp_path / LOCK_NAME, tmp_path / "packages.zip"
    lock.write_text("pymongo==4.18.3\n")
    assert not is_archive_of(lock, archive)
    write_file(archive, zip_bytes({LOCK_NAME: lock.read_bytes()}))
    assert not is_archive_of(lock, archive)  # of all services, as before there was a list
    write_file(archive, zip_bytes(labels(lock)))
    assert is_archive_of(lock, archive)
    lock.write_text("pymongo==4.18.4\n")
    assert not is_archive_of(lock, archive)
    archive.write_bytes(b"half a zi")
    assert not is_archive_of(lock, archive)


def test_unavailable_package_is_reported_in_one_line_and_the_old_archive_is_kept(tmp_path: Path) -> None:
    lock, archive = tmp_path / LOCK_NAME, tmp_path / "packages.zip"
    lock.write_text(f"pymongo==4.18.3 --hash=sha256:{'0' * 64}\n")
    archive.write_bytes(b"yesterday's")
    done = subprocess.run(
        [sys.executable, "-m", "ci.spark_packages", "--lock", str(lock), "--output", str(archive)],
        cwd=ROOT,
        env={**os.environ, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("spark_packages: spark.lock: ")
    assert "pymongo==4.18.3" in done.stderr
    assert done.stderr.count("\n") == 1
    assert archive.read_bytes() == b"yesterday's"


def test_every_entry_of_the_lock_is_one_version_with_hashes() -> None:
    entries = LOCK.read_text().replace("\\\n", " ").splitlines()
    assert {entry.partition("==")[0] for entry in entries} >= {"pymongo", "dnspython", "boto3"}
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( +--hash=sha256:[0-9a-f]{64})+ *", entry), entry


def test_archive_is_for_the_python_version_and_processor_of_the_nodes() -> None:
    assert is_archive_of(LOCK, ARCHIVE)
    with zipfile.ZipFile(ARCHIVE) as packed:
        names = packed.namelist()
        tags = {
            line.removeprefix("Tag: ").strip()
            for name in names
            if name.endswith(".dist-info/WHEEL")
            for line in packed.read(name).decode().splitlines()
            if line.startswith("Tag: ")
        }
    assert {"pymongo/__init__.py", "bson/__init__.py", "dns/resolver.py", "boto3/__init__.py"} <= set(names)
    for python, _, platform in (tag.split("-", 2) for tag in tags):
        assert python in {"py2", "py3", "cp39"}
        if platform != "any":
            assert platform.endswith("_x86_64")
            found = re.match(r"manylinux_(\d+)_(\d+)_", platform)
            assert found is None or (int(found[1]), int(found[2])) <= NODE_GLIBC


def test_job_can_make_its_clients_with_the_packages_of_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(ARCHIVE) as packed:
        packed.extractall(tmp_path)
    called = set(re.findall(r'boto3\.client\("([a-z0-9-]+)"', (ROOT / "ml" / "feature_store.py").read_text()))
    assert called
    program = f"import boto3\nfor name in {sorted({*called, 'sts'})}: boto3.client(name, 'ap-northeast-2')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
