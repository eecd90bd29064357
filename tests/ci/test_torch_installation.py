"""`ci/environment.sh` on Linux installs torch from each kind of package index.

PyPI's torch requires CUDA packages, which the lock does not contain; the CPU build does not. The packages
here are empty wheels on a package index of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.ci.wheels import index_server, write_wheel
from tests.repository import ROOT

LOCK = "leaf==1.0\ntorch==2.13.0\n"
CLOSED_INDEX = "http://127.0.0.1:9/whl/cpu"  # discard port: connections are refused
# Python whose `-m venv` creates the first environment with pip compiled, and copies it for the others: both
# take seconds.
PYTHON = """#!/bin/sh -e
if [ "$1 $2" = "-m venv" ]; then
    if ! [ -d "{first}" ]; then
        "{python}" "$@"
        env -u PYTHONDONTWRITEBYTECODE "$3/bin/python" -c '
import pip._internal.commands.check, pip._internal.commands.index, pip._internal.commands.install'
        cp -a "$3" "{first}"
    else
        cp -a "{first}" "$3"
    fi
else
    exec "{python}" "$@"
fi
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="PyPI's torch has CUDA packages only on Linux"
)


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server with an index like PyPI (`/pypi`) and one like PyTorch's of CPU builds (`/cpu`)."""
    root = tmp_path_factory.mktemp("indexes")
    write_wheel(root / "pypi/leaf", "leaf", "1.0")
    write_wheel(root / "pypi/leaf", "leaf", "2.0")
    write_wheel(root / "pypi/torch", "torch", "2.13.0", requires=["leaf", "fakecuda==13.0"])
    write_wheel(root / "pypi/fakecuda", "fakecuda", "13.0")
    write_wheel(root / "cpu/torch", "torch", "2.13.0+cpu", requires=["leaf"])
    write_wheel(root / "cpu/torch", "torch", "2.14.0+cpu", requires=["leaf"])
    write_wheel(root / "cpu/leaf", "leaf", "1.0+other")  # PyTorch's index has copies of other packages
    with index_server(root) as url:
        yield url


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the tests, whose virtual environments are copies of the first one."""
    folder = tmp_path_factory.mktemp("python")
    interpreter = getattr(sys, "_base_executable", sys.executable)
    return write_program(folder / "python3.11", PYTHON.format(python=interpreter, first=folder / "first"))


@pytest.fixture
def checkout(tmp_path: Path, python: Path) -> Path:
    """A checkout with a short lock, Python, and a program that prints the version of Java."""
    for folder in ("ci", "requirements", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "ci/environment.sh", tmp_path / "ci")
    (tmp_path / "ci/spark_packages.py").write_text("")
    (tmp_path / "requirements/lock.txt").write_text(LOCK)
    write_program(tmp_path / "bin/java", "#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
    (tmp_path / "bin/python3.11").symlink_to(python)
    return tmp_path


def write_program(path: Path, script: str) -> Path:
    path.write_text(script)
    path.chmod(0o755)
    return path


def set_up(checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the script with no configuration of pip but the given variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    inherited.pop("JAVA_HOME", None)
    return subprocess.run(
        ["bash", str(checkout / "ci/environment.sh")],
        env={
            **inherited,
            "PATH": f"{checkout / 'bin'}:{inherited['PATH']}",
            "PYTHON311": str(checkout / "bin/python3.11"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def installed(checkout: Path) -> dict[str, str]:
    site_packages = map(str, checkout.glob(".venv/lib/python*/site-packages"))
    packages = {each.name: each.version for each in distributions(path=[*site_packages])}
    return {name: packages[name] for name in ("torch", "leaf", "fakecuda") if name in packages}


def test_cpu_build_comes_from_the_index_of_pytorch(checkout: Path, indexes: str) -> None:
    done = set_up(checkout, PIP_INDEX_URL=f"{indexes}/pypi", TORCH_INDEX_URL=f"{indexes}/cpu")
    assert done.returncode == 0, done.stderr
    assert installed(checkout) == {"torch": "2.13.0+cpu", "leaf": "1.0"}


def test_without_a_cpu_build_torch_is_installed_with_its_cuda_packages(checkout: Path, indexes: str) -> None:
    done = set_up(checkout, PIP_INDEX_URL=f"{indexes}/pypi", TORCH_INDEX_URL=CLOSED_INDEX)
    assert done.returncode == 0, done.stderr
    assert f"no torch==2.13.0+cpu at {CLOSED_INDEX}" in done.stdout
    # The lock holds for torch's dependencies too: leaf 2.0 exists.
    assert installed(checkout) == {"torch": "2.13.0", "leaf": "1.0", "fakecuda": "13.0"}


def test_cpu_build_on_the_indexes_of_pip_needs_no_other_index(
    checkout: Path, indexes: str, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "wheels", "torch", "2.13.0+cpu", requires=["leaf"])
    done = set_up(
        checkout,
        PIP_INDEX_URL=f"{indexes}/pypi",
        PIP_FIND_LINKS=str(tmp_path / "wheels"),
        TORCH_INDEX_URL=CLOSED_INDEX,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert installed(checkout) == {"torch": "2.13.0+cpu", "leaf": "1.0"}
    assert "CUDA" not in done.stdout


def test_package_that_no_index_has_is_reported(checkout: Path, indexes: str) -> None:
    (checkout / "requirements/lock.txt").write_text("absent==1.0\n" + LOCK)
    done = set_up(checkout, PIP_INDEX_URL=f"{indexes}/pypi", TORCH_INDEX_URL=f"{indexes}/cpu")
    assert done.returncode == 1
    assert "No matching distribution found for absent==1.0" in done.stderr
    assert not (checkout / ".venv/.stamp").exists()
