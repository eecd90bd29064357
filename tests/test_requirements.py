"""Every imported package is declared, and every pinned version is the version of the lock."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)")
# Distributions whose name differs from the name of their module.
DISTRIBUTION_OF = {
    "airflow": "apache-airflow",
    "faiss": "faiss-cpu",
    "google": "protobuf",
    "griffe": "griffelib",
    "grpc": "grpcio",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
}
# Of the PyTorch inference container (requirements/container.in), and of the policy pack's environment.
PROVIDED = {"sagemaker_inference", "sagemaker_pytorch_serving_container", "pulumi_policy"}
# Run in the environment of bench/peers.py (requirements/peers.in), with torch and numpy of the project.
PEERS_FILES = ("bench/peer_models", "tests/bench/recbole_checks.py")
AIRFLOW_FOLDERS = ("dags", "tests/dags")  # run in the Airflow environment
BUILD_OUTPUTS = ("build", "out", "dist")


def pins(path: Path) -> dict[str, str]:
    """Version by name; every line is a pin, a comment or a constraint file."""
    found = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith(("#", "-c ")):
            continue
        pin = PIN.fullmatch(line)
        assert pin, f"{path.name}: {line!r} is not an exact version"
        found[pin["name"]] = pin["version"]
    return found


def declared_by_project() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def declared_in(name: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (REQUIREMENTS / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def declared_for_airflow() -> list[Requirement]:
    return declared_in("airflow.in")


def declared_for_container() -> list[Requirement]:
    return declared_in("container.in")


def declared_for_peers() -> list[Requirement]:
    return declared_in("peers.in")


@functools.cache
def source_files() -> tuple[Path, ...]:
    """Every Python file of the repository, relative to its root; its environments are not searched."""
    top = [path for path in ROOT.iterdir() if path.name[0] != "." and path.name not in BUILD_OUTPUTS]
    found = [path for each in top for path in ([each] if each.suffix == ".py" else each.rglob("*.py"))]
    return tuple(sorted(path.relative_to(ROOT) for path in found))


def runs_in_airflow(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in AIRFLOW_FOLDERS)


def runs_with_peers(path: Path) -> bool:
    return any(path.is_relative_to(each) for each in PEERS_FILES)


@functools.cache
def imported_distributions(path: Path) -> frozenset[str]:
    """Names of the distributions whose modules a file imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    # Lambda functions and the DAG import files of their folder as top-level modules.
    own = {each.stem for folder in (ROOT, ROOT / path.parent, ROOT / "dags") for each in folder.iterdir()}
    names = {module.partition(".")[0] for module in modules} - own - PROVIDED - sys.stdlib_module_names
    return frozenset(canonicalize_name(DISTRIBUTION_OF.get(name, name)) for name in names)


def undeclared(files: list[Path], declared: list[Requirement]) -> dict[str, list[str]]:
    """The files that import each distribution that is not declared."""
    known = {canonicalize_name(each.name) for each in declared}
    found: dict[str, list[str]] = {}
    for path in files:
        for name in sorted(imported_distributions(path) - known):
            found.setdefault(name, []).append(path.as_posix())
    return found


def test_every_package_imported_by_the_project_is_declared() -> None:
    files = [path for path in source_files() if not runs_in_airflow(path) and not runs_with_peers(path)]
    assert Path("ml/contract.py") in files
    assert undeclared(files, declared_by_project()) == {}


def test_every_package_imported_by_the_peers_is_declared() -> None:
    files = [path for path in source_files() if runs_with_peers(path)]
    assert Path("bench/peer_models/recbole_models.py") in files
    assert undeclared(files, [*declared_by_project(), *declared_for_peers()]) == {}


def test_every_package_imported_by_the_dag_and_its_tests_is_declared() -> None:
    files = [path for path in source_files() if runs_in_airflow(path)]
    assert Path("dags/prepare_interactions.py") in files
    assert undeclared(files, declared_for_airflow()) == {}


def test_undeclared_package_is_named_with_the_files_that_import_it() -> None:
    without = [each for each in declared_by_project() if each.name != "numpy"]
    assert "tests/test_requirements.py" in undeclared([Path("tests/test_requirements.py")], [])["packaging"]
    assert undeclared([*source_files()], without)["numpy"]


@pytest.mark.parametrize(
    ("declared", "lock"),
    [
        (declared_by_project, "lock.txt"),
        (declared_for_airflow, "airflow.lock"),
        (declared_for_container, "container.lock"),
        (declared_for_peers, "peers.lock"),
    ],
    ids=["project", "airflow", "container", "peers"],
)
def test_locked_version_is_in_the_declared_range(
    declared: Callable[[], list[Requirement]], lock: str
) -> None:
    locked = pins(REQUIREMENTS / lock)
    outside = [
        f"{requirement}: the lock has {locked.get(canonicalize_name(requirement.name))}"
        for requirement in declared()
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]
    assert outside == []


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_is_the_version_of_the_lock(path: Path) -> None:
    assert pins(path).items() <= pins(REQUIREMENTS / "lock.txt").items()


def test_container_environment_has_the_versions_of_the_lock_where_it_can() -> None:
    container, platform = pins(REQUIREMENTS / "container.lock"), pins(REQUIREMENTS / "lock.txt")
    differing = {name for name in container.keys() & platform.keys() if container[name] != platform[name]}
    assert differing <= {"setuptools"}  # the toolkit needs pkg_resources
    assert "numpy" in container


def test_build_installs_only_versions_of_the_lock() -> None:
    assert "-c lock.txt" in (REQUIREMENTS / "pipeline.txt").read_text().splitlines()
