"""The set-up script on machines that lack something; each is a copy of the script in a folder of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKS = '[ "$*" = "-m ci.spark_packages" ] && echo of the lock'  # the one thing that a finished one is asked
TOOLS = ("bash", "sed", "head", "dirname", "cat", "sha256sum", "rm", "env", "cut")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout with a PATH that has only what every machine has."""
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
    """As the script's own tool prints it."""
    done = subprocess.run(["sha256sum"], stdin=lock.open(), capture_output=True, text=True, check=True)
    return done.stdout


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_without_java_one_line_says_what_to_install(machine: Path) -> None:
    line = the_line(set_up(machine))
    assert "Java 17 is needed, found none" in line
    assert "openjdk-17-jre-headless" in line


def test_another_java_is_named_and_java_home_comes_first(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    assert "Java 17 is needed, found 21" in the_line(set_up(machine))
    old = machine / "jdk"
    (old / "bin").mkdir(parents=True)
    shutil.copy(machine / "bin/java", old / "bin/java")
    (old / "bin/java").write_text("#!/bin/sh\necho 'java version \"1.8.0_401\"' >&2\n")
    assert "found 1:" in the_line(set_up(machine, JAVA_HOME=str(old)))


def test_without_python_311_one_line_says_which_was_found(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    assert "Python 3.11 is needed, found none" in the_line(set_up(machine))
    put_program(machine, "python3", '[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1')
    line = the_line(set_up(machine))
    assert "found Python 3.9.2" in line
    assert "python3.11-venv" in line


def test_a_finished_environment_is_used_again(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / ".venv/bin").mkdir(parents=True)
    put_program(machine / ".venv", "python", f"{PACKS} || exit 1")
    (machine / ".venv/.stamp").write_text(f"{machine} {digest_of(machine / 'requirements/lock.txt')}")
    done = set_up(machine)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_packages_that_cannot_be_had_end_it_with_their_own_line(machine: Path) -> None:
    test_a_finished_environment_is_used_again(machine)
    put_program(machine / ".venv", "python", "echo 'spark_packages: spark.lock: no network' >&2; exit 2")
    assert the_line(set_up(machine)) == "spark_packages: spark.lock: no network\n"


@pytest.mark.parametrize("differs", ["lock", "place"])
def test_an_environment_of_another_lock_or_place_is_not(machine: Path, differs: str) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / ".venv/bin").mkdir(parents=True)
    put_program(machine / ".venv", "python", "exit 0")
    stamps = {
        "lock": f"{machine} of-an-older-lock  -\n",
        "place": f"/copied/from {digest_of(machine / 'requirements/lock.txt')}",
    }
    (machine / ".venv/.stamp").write_text(stamps[differs])
    assert "Python 3.11 is needed" in the_line(set_up(machine))
    assert os.access(machine / ".venv/bin/python", os.X_OK)


def test_the_airflow_environment_has_a_lock_and_a_place_of_its_own(machine: Path) -> None:
    put_program(machine, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    (machine / "requirements/airflow.lock").write_text("apache-airflow==3.3.2\n")
    (machine / ".venv-airflow/bin").mkdir(parents=True)
    put_program(machine / ".venv-airflow", "python", "exit 1")
    stamp = f"{machine} {digest_of(machine / 'requirements/airflow.lock')}"
    (machine / ".venv-airflow/.stamp").write_text(stamp)

    done = set_up(machine, "airflow")

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "Python 3.11 is needed" in the_line(set_up(machine))  # the platform's is not there yet


def test_an_environment_that_there_is_not_is_refused(machine: Path) -> None:
    assert "no environment 'aws': there are platform and airflow" in the_line(set_up(machine, "aws"))
