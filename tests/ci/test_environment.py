"""`ci/environment.sh` on machines that lack Java, Python or packages; each test runs a copy of the script."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Python of a complete environment: the script may only call it to build the Spark packages.
ONLY_SPARK_PACKAGES = '[ "$*" = "-m ci.spark_packages" ]'
TOOLS = ("bash", "sed", "head", "dirname", "cat", "sha256sum", "rm", "env", "cut")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout, and a PATH with basic commands only."""
    (tmp_path / "ci").mkdir()
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "ci/environment.sh", tmp_path / "ci")
    (tmp_path / "requirements/lock.txt").write_text("")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def put_program(machine: Path, name: str, script: str) -> None:
    program = machine / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def set_up(machine: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "bin/bash"), str(machine / "ci/environment.sh"), *arguments],
        env={"PATH": str(machine / "bin"), "HOME": str(machine), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def digest_of(lock: Path) -> str:
    """Output of sha256sum for the lock, as the script computes it."""
    done = subprocess.run(["sha256sum"], stdin=lock.open(), capture_output=True, text=True, check=True)
    return done.stdout


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_missing_java_is_reported_with_the_package_to_install(machine: Path) -> None:
    line = error_line(set_up(machine))
    assert "Java 17 is needed, found none" in line
    assert "openjdk-17-jre-headless" in line


def test_wrong_java_version_is_reported_and_java_home_has_precedence(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    assert "Java 17 is needed, found 21" in error_line(set_up(machine))
    old = machine / "jdk"
    (old / "bin").mkdir(parents=True)
    shutil.copy(machine / "bin/java", old / "bin/java")
    (old / "bin/java").write_text("#!/bin/sh\necho 'java version \"1.8.0_401\"' >&2\n")
    assert "found 1:" in error_line(set_up(machine, JAVA_HOME=str(old)))


def test_missing_python_311_is_reported_with_the_version_found(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    assert "Python 3.11 is needed, found none" in error_line(set_up(machine))
    put_program(machine, "python3", '[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1')
    line = error_line(set_up(machine))
    assert "found Python 3.9.2" in line
    assert "python3.11-venv" in line


def test_complete_environment_is_reused(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / ".venv/bin").mkdir(parents=True)
    put_program(machine / ".venv", "python", f"{ONLY_SPARK_PACKAGES} || exit 1")
    (machine / ".venv/.stamp").write_text(f"{machine} {digest_of(machine / 'requirements/lock.txt')}")
    done = set_up(machine)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_unavailable_spark_packages_end_the_setup_with_one_line(machine: Path) -> None:
    test_complete_environment_is_reused(machine)
    put_program(machine / ".venv", "python", "echo 'spark_packages: spark.lock: no network' >&2; exit 2")
    assert error_line(set_up(machine)) == "spark_packages: spark.lock: no network\n"


@pytest.mark.parametrize("differs", ["lock", "folder"])
def test_environment_of_another_lock_or_folder_is_not_reused(machine: Path, differs: str) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / ".venv/bin").mkdir(parents=True)
    put_program(machine / ".venv", "python", "exit 0")
    stamps = {
        "lock": f"{machine} of-an-older-lock  -\n",
        "folder": f"/copied/from {digest_of(machine / 'requirements/lock.txt')}",
    }
    (machine / ".venv/.stamp").write_text(stamps[differs])
    assert "Python 3.11 is needed" in error_line(set_up(machine))
    assert os.access(machine / ".venv/bin/python", os.X_OK)


def test_airflow_environment_has_a_separate_lock_and_folder(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / "requirements/airflow.lock").write_text("apache-airflow==3.3.2\n")
    (machine / ".venv-airflow/bin").mkdir(parents=True)
    put_program(machine / ".venv-airflow", "python", "exit 1")
    stamp = f"{machine} {digest_of(machine / 'requirements/airflow.lock')}"
    (machine / ".venv-airflow/.stamp").write_text(stamp)

    done = set_up(machine, "airflow")

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "Python 3.11 is needed" in error_line(
        set_up(machine)
    )  # the platform environment does not exist yet


def test_container_environment_depends_on_both_locks_because_it_links_into_the_platform_environment(
    machine: Path,
) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    locks = [machine / "requirements/container.lock", machine / "requirements/lock.txt"]
    locks[0].write_text("torchserve==0.12.0\n")
    (machine / ".venv-container/bin").mkdir(parents=True)
    put_program(machine / ".venv-container", "python", "exit 1")
    both = machine / "both.lock"
    both.write_text("".join(lock.read_text() for lock in locks))
    (machine / ".venv-container/.stamp").write_text(f"{machine} {digest_of(both)}")

    done = set_up(machine, "container")

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    locks[1].write_text("torch==2.14.0\n")
    assert "Python 3.11 is needed" in error_line(set_up(machine, "container"))


def test_environment_of_the_programs_needs_no_java(machine: Path) -> None:
    lock = machine / "requirements/program.txt"
    lock.write_text("pulumi==3.272.0\n")
    assert "Python 3.11 is needed" in error_line(set_up(machine, "program"))
    (machine / ".venv/bin").mkdir(parents=True)
    put_program(machine / ".venv", "python", "exit 1")
    (machine / ".venv/.stamp").write_text(f"{machine} {digest_of(lock)}")
    done = set_up(machine, "program")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "Java 17 is needed" in error_line(set_up(machine))  # it is not the platform's environment


def test_environment_of_the_programs_keeps_that_of_the_platform(machine: Path) -> None:
    test_complete_environment_is_reused(machine)
    (machine / "requirements/program.txt").write_text("pulumi==3.272.0\n")
    done = set_up(machine, "program")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_unknown_environment_is_refused(machine: Path) -> None:
    assert (
        "unknown environment 'aws': use platform, airflow, container, policies, peers or program"
        in error_line(set_up(machine, "aws"))
    )
