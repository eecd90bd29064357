"""Import rules: which package may import which, and no import cycle at any level.

Imports inside functions and under `TYPE_CHECKING` count. docs/architecture.md explains the rules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Folders without Python of this project: environments and build outputs.
NOT_SOURCE = {"build", "dist", "out", "docs", "requirements", "__pycache__"}
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
TEST_TOOLS = {"moto", "pytest", "hypothesis", "unittest"}
# bench/ and tests/ may import every package that pyproject.toml declares.
MAY_IMPORT_ANYTHING = {"bench", "tests"}

# Allowed imports per package, in addition to the standard library and the package itself. The row of a
# module is the longest matching name; a dotted entry allows that module and its submodules.
MAY_IMPORT = {
    "__main__": {"pulumi", "stacks"},
    "account": {"components", "ml.contract", "pulumi", "pydantic"},
    "stacks": {"components", "ml.contract", "ml.settings", "pulumi", "pydantic"},
    "components": {"pulumi", "pulumi_aws"},
    "ml": set(),
    "ml.contract": set(),
    "ml.settings": set(),
    "ml.manifest": {"ml.contract"},
    "ml.synthetic": {"numpy"},
    "ml.feature_store": {"boto3", "botocore", "pymongo", "tenacity"},
    "ml.batch": {
        "ml.contract",
        "ml.feature_store",
        "ml.ncf.jobs.packages",
        "ml.ncf.model",
        "ml.ncf.training.console",
        "ml.serving",
        "ml.settings",
        "pyarrow",
        "boto3",
        "botocore",
    },
    "ml.preparation": {
        "ml.contract",
        "ml.feature_store",
        "ml.manifest",
        "ml.settings",
        "pyspark",
        "py4j",
        "pyarrow",
        "boto3",
        "botocore",
    },
    "ml.ncf": {
        "ml.contract",
        "ml.manifest",
        "ml.settings",
        "torch",
        "numpy",
        "faiss",
        "pyarrow",
        "boto3",
        "botocore",
    },
    "ml.serving": {"ml.contract", "ml.ncf.model", "torch", "numpy", "sagemaker_inference"},
    "ml.pipeline": {"ml.contract", "ml.manifest", "ml.settings", "sagemaker", "boto3", "botocore"},
    "lambdas": {"boto3", "botocore", "aws_lambda_powertools"},
    "dags": {"airflow", "botocore"},
    "emulator": {
        "moto",
        "boto3",
        "botocore",
        "jsonpath_ng",
        "psutil",
        "regex",
        "urllib3",
        "werkzeug",
        "yaml",
    },
    "ci": {
        "griffe",
        "components.packing",
        "components.spark",
        "ml.contract",
        "ml.settings",
        "stacks.config",
        "boto3",
        "botocore",
        "packaging",
        "pulumi",
        "requests",
        "rich",
        "typer",
        "urllib3",
        "yaml",
    },
    "policies": {"yaml", "pulumi_policy"},
    "local": {
        "ci",
        "components",
        "emulator",
        "ml",
        "stacks",
        "boto3",
        "botocore",
        "google.protobuf",
        "grpc",
        "msgpack",
        "optuna",
        "policies",
        "psutil",
        "pulumi",
        "pulumi_aws",
        "pyarrow",
        "requests",
        "rich",
        "tenacity",
        "typer",
        "werkzeug",
        "yaml",
    },
}
# Packages deployed without the rest of the repository, with the depth of the deployed folders below the
# package. Files of a deployed folder import each other as top-level modules.
DEPLOYED_ALONE = {"lambdas": 1, "dags": 0}


def top_level_packages() -> list[str]:
    """Folders of the root that hold Python modules."""
    return sorted(
        folder.name
        for folder in ROOT.iterdir()
        if folder.is_dir()
        and not folder.name.startswith(".")
        and folder.name not in NOT_SOURCE
        and any(folder.rglob("*.py"))
    )


@cache
def modules() -> dict[str, Path]:
    """Every module of the tree: its dotted name and its file; a package is named `package.__init__`."""
    paths = [ROOT / "__main__.py"]
    for package in top_level_packages():
        paths += [path for path in (ROOT / package).rglob("*.py") if "__pycache__" not in path.parts]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(paths)}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Names that a file imports at any level of nesting: `from a.b import c` gives `a.b.c`."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def row_of(module: str) -> str:
    """The row of the table that applies to a module; the longest matching name."""
    rows = [row for row in MAY_IMPORT if is_within(module, row)]
    assert rows, f"{module}: its package has no row in MAY_IMPORT"
    return max(rows, key=len)


def siblings(module: str) -> set[str]:
    """Top-level modules in the deployed folder of a module; empty if the whole repository is deployed."""
    top = module.split(".", maxsplit=1)[0]
    if top not in DEPLOYED_ALONE:
        return set()
    folder = ROOT.joinpath(*module.split(".")[: 1 + DEPLOYED_ALONE[top]])
    return {each.stem for each in folder.iterdir()} if folder.is_dir() else set()


def is_allowed(imported: str, module: str) -> bool:
    first = imported.split(".", maxsplit=1)[0]
    if first in siblings(module):
        return True
    if first in STANDARD_LIBRARY:
        return first not in TEST_TOOLS
    row = row_of(module)
    own = row if row.split(".")[0] not in DEPLOYED_ALONE else None
    return any(is_within(imported, name) for name in (*MAY_IMPORT[row], *([own] if own else [])))


def test_every_package_has_a_row() -> None:
    assert set(top_level_packages()) == {
        row for row in MAY_IMPORT if row != "__main__" and "." not in row
    } | (MAY_IMPORT_ANYTHING)
    below_ml = {name.split(".")[1] for name in modules() if name.startswith("ml.")} - {"__init__"}
    assert below_ml == {row.split(".")[1] for row in MAY_IMPORT if row.startswith("ml.")}


def test_architecture_page_has_the_table() -> None:
    """Its column `may import` has the packages of this repository among the allowed ones."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {}
    for cells in re.findall(r"^\| (`.+) \| .+ \| (.*)\|$", page.partition("## Contracts")[0], re.MULTILINE):
        name = re.match(r"`([\w/]+)", cells[0])[1].replace("/<name>", "").strip("/").replace("/", ".")
        found[name] = set(re.findall(r"`([\w.]+)`", cells[1]))
    own = {*top_level_packages()}
    expected = {
        row: {each for each in allowed if each.split(".")[0] in own}
        for row, allowed in MAY_IMPORT.items()
        if row != "ml"
    }
    assert {name: packages for name, packages in found.items() if name in expected} == expected


@pytest.mark.parametrize("row", MAY_IMPORT)
def test_package_imports_only_what_its_row_allows(row: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for module, path in modules().items()
        if module.split(".")[0] not in MAY_IMPORT_ANYTHING and row_of(module) == row
        for imported in imports(path)
        if not is_allowed(imported, module)
    ]
    assert wrong == []


def resolved(imported: str) -> str | None:
    """The module of the tree that an import loads; None for a library."""
    parts = imported.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in modules():
            return name
        if f"{name}.__init__" in modules():
            return f"{name}.__init__"
    return None


def cycle_among_children(package: str, edges: dict[str, set[str]]) -> list[str]:
    """An import cycle among the modules and sub-packages directly below a package; empty if there is none."""
    depth = len(package.split(".")) if package else 0
    graph: dict[str, set[str]] = {}
    for module, targets in edges.items():
        if package and not is_within(module, package):
            continue
        child = ".".join(module.split(".")[: depth + 1])
        for target in targets:
            if not package or is_within(target, package):
                graph.setdefault(child, set()).add(".".join(target.split(".")[: depth + 1]))
    for child, targets in graph.items():
        targets.discard(child)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@cache
def edges_of_the_tree() -> dict[str, set[str]]:
    return {
        module: {target for imported in imports(path) if (target := resolved(imported)) is not None}
        for module, path in modules().items()
        if module.split(".")[0] not in DEPLOYED_ALONE
    }


PACKAGES = sorted(
    {module.rpartition(".")[0] for module in modules() if module.split(".")[0] not in DEPLOYED_ALONE}
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package or "root")
def test_no_import_cycle_below_package(package: str) -> None:
    assert cycle_among_children(package, edges_of_the_tree()) == []


def test_cycle_between_sub_packages_is_found() -> None:
    edges = {"a.b.one": {"a.c.two"}, "a.c.three": {"a.b.four"}}
    assert set(cycle_among_children("a", edges)) == {"a.b", "a.c"}
    assert cycle_among_children("a", {"a.b.one": {"a.c.two"}, "a.c.three": {"a.d"}}) == []


@pytest.mark.parametrize(
    ("imported", "module", "allowed"),
    [
        ("ml.contract", "stacks.module", True),
        ("ml.settings.training", "stacks.module", True),
        ("ml.ncf.model", "stacks.module", False),
        ("pulumi_aws", "stacks.module", False),
        ("stacks.config", "components.module", False),
        ("pulumi_aws.s3", "components.module", True),
        ("pulumi", "ml.ncf.module", False),
        ("ml.ncf.model", "ml.preparation.module", False),
        ("torch", "ml.settings.module", False),
        ("moto", "ml.ncf.module", False),
        ("unittest.mock", "ml.ncf.module", False),
        ("ml.contract", "emulator.module", False),
        ("local.up", "emulator.module", False),
        ("ml.contract", "lambdas.recommend.module", False),
        ("logic", "lambdas.recommend.module", True),
        ("deploy_model.logic", "lambdas.recommend.module", False),
        ("json", "components.module", True),
    ],
)
def test_table_allows_and_refuses(imported: str, module: str, allowed: bool) -> None:
    assert is_allowed(imported, module) is allowed
