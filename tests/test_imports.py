"""Who may import whom: the table of the design, held over every module."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "stacks",
    "components",
    "ml",
    "lambdas",
    "local",
    "policies",
    "dags",
    "ci",
    "bench",
    "tests",
    "emulator",
)
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
TEST_TOOLS = {"moto", "pytest", "hypothesis", "unittest"}

# Beside the standard library and its own room. A dotted name allows that module and nothing beside it.
MAY_IMPORT = {
    "stacks": {"components", "ml.contract", "ml.settings", "pulumi", "pydantic"},
    "components": {"pulumi", "pulumi_aws"},
    "ml": {
        "torch",
        "numpy",
        "pyarrow",
        "pyspark",
        "py4j",
        "sagemaker",
        "boto3",
        "botocore",
        "sagemaker_inference",
        "pymongo",
        "tenacity",
    },
    "lambdas": {"boto3", "botocore", "aws_lambda_powertools"},
    "policies": {"pulumi_policy"},
    "dags": {"airflow", "botocore"},
}
# What is deployed without the rest of the tree, and how far below its room: there, its own files are
# top-level modules, and nothing else of the tree is to be found.
DEPLOYED_ALONE = {"lambdas": 1, "dags": 0}


def modules(room: str) -> list[Path]:
    return [path for path in sorted((ROOT / room).rglob("*.py")) if "__pycache__" not in path.parts]


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, in full, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            # `from ml import contract` imports ml.contract.
            if node.module in ROOMS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def own_modules(path: Path, room: str) -> set[str]:
    """The top-level names under which a file finds the files that it is deployed with."""
    if room not in DEPLOYED_ALONE:
        return {room}
    deployed = ROOT.joinpath(*path.relative_to(ROOT).parts[: 1 + DEPLOYED_ALONE[room]])
    return {each.stem for each in deployed.iterdir()}


def is_allowed(module: str, path: Path, room: str) -> bool:
    first, *_ = module.split(".")
    if first in STANDARD_LIBRARY:
        return first not in TEST_TOOLS
    if first in own_modules(path, room):
        return True
    return any(module == name or module.startswith(f"{name}.") for name in MAY_IMPORT[room])


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_the_design_allows(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in modules(room)
        for module in imports(path)
        if not is_allowed(module, path, room)
    ]
    assert wrong == []


def test_the_contract_needs_nothing_but_the_standard_library() -> None:
    found = {module.split(".")[0] for module in imports(ROOT / "ml" / "contract.py")}
    assert found <= STANDARD_LIBRARY


def test_the_program_imports_its_slices_and_nothing_else() -> None:
    found = {module.split(".")[0] for module in imports(ROOT / "__main__.py")}
    assert found == {"pulumi", "stacks"}


def test_nothing_that_is_deployed_imports_the_tests_or_the_emulator() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for room in ("stacks", "components", "ml", "lambdas")
        for path in modules(room)
        for module in imports(path)
        if module.split(".")[0] in {"tests", "local", "emulator", *TEST_TOOLS}
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "room", "allowed"),
    [
        ("ml.contract", "stacks", True),
        ("ml.ncf.model", "stacks", False),
        ("pulumi_aws", "stacks", False),
        ("stacks.config", "components", False),
        ("pulumi_aws.s3", "components", True),
        ("pulumi", "ml", False),
        ("moto", "ml", False),
        ("unittest.mock", "ml", False),
        ("ml.contract", "lambdas/recommend", False),
        ("logic", "lambdas/recommend", True),
        ("deploy_model.logic", "lambdas/recommend", False),
        ("json", "components", True),
    ],
)
def test_the_table_says_yes_and_no(module: str, room: str, allowed: bool) -> None:
    path = ROOT / room / "module.py"
    assert is_allowed(module, path, path.relative_to(ROOT).parts[0]) is allowed
