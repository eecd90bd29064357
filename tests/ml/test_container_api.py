"""Training and serving code uses only what the torch, numpy and Python of the stages' containers have."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.contract import serving_sources
from tests.ml.container_api.code import Api, MissingListError, api_of, faults
from tests.repository import ROOT, STAGES
from tests.stacks.program import section

# The oldest numpy for the Python 3.12 of the inference image; AWS's images do not pin numpy.
NUMPY = "1.26.4"
CLASSES = {
    "torch": {
        "Tensor": torch.Tensor,
        "nn.Module": torch.nn.Module,
        "optim.Optimizer": torch.optim.Optimizer,
        "Generator": torch.Generator,
    },
    "numpy": {"ndarray": np.ndarray, "random.Generator": np.random.Generator},
}
# Members of torch's C types that the stubs of no version have.
UNSTUBBED = {"cdouble", "cfloat", "const_data_ptr", "ipu", "is_xla", "mtia", "name", "volatile"}
# Modules of Python 3.11 that the images lack ("Removed" in What's New in Python 3.12 and 3.13).
REMOVED_MODULES = {
    *(
        "asynchat",
        "asyncore",
        "distutils",
        "imp",
        "smtpd",
        "aifc",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
    ),
    *("imghdr", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd"),
    *("sunau", "telnetlib", "uu", "xdrlib"),
}


def used_in(container: str) -> Iterator[Path]:
    """Source files that run in a container, relative to the root."""
    if container == "serving":
        yield from map(Path, serving_sources(ROOT).values())
    else:
        for folder in ("ml/ncf", "ml/serving", "ml/batch"):
            yield from (path.relative_to(ROOT) for path in sorted((ROOT / folder).rglob("*.py")))


def containers() -> list[tuple[str, str, str]]:
    """Each container of the stages, with its torch and Python."""
    return sorted(
        {
            (name, section(stage, name)["framework_version"], section(stage, name)["py_version"])
            for stage in STAGES
            for name in ("training", "serving")
        }
    )


def newer(apis: Sequence[Api]) -> dict[str, set[str]]:
    """Public members of the installed classes that no class of the versions has."""
    known = {member for api in apis for name in CLASSES[api.package] for member in api.members(name)}
    return {
        f"{api.package}.{name}": {each for each in dir(cls) if not each.startswith("_")} - known - UNSTUBBED
        for api in apis
        for name, cls in CLASSES[api.package].items()
    }


def faults_in(sources: Mapping[str, str], *apis: Api) -> list[str]:
    missing = newer(apis)
    return [
        f"{path}:{fault}"
        for path, source in sources.items()
        for api in apis
        for fault in faults(source, api, missing)
    ]


@pytest.mark.parametrize(("container", "torch_version", "py_version"), containers())
def test_code_uses_only_what_its_container_has(container: str, torch_version: str, py_version: str) -> None:
    sources = {str(path): (ROOT / path).read_text(encoding="utf-8") for path in used_in(container)}
    assert len(sources) > 5

    assert faults_in(sources, api_of("torch", torch_version), api_of("numpy", NUMPY)) == []
    major, minor = int(py_version[2]), int(py_version[3:])
    assert sys.version_info[:2] <= (major, minor), "the tests run on a newer Python than the container"
    for path, source in sources.items():
        tree = ast.parse(source, path, feature_version=(major, minor))
        imported = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not imported & REMOVED_MODULES, path


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0"])
def test_get_capabilities_is_refused_by_name(version: str) -> None:
    """Training called it at every epoch; torch has it from 2.11 on."""
    source = "import torch\n\nif torch.cpu.get_capabilities()['amx_bf16']:\n    pass\n"
    assert faults_in({"trainer.py": source}, api_of("torch", version)) == [
        f"trainer.py:3: torch=={version} has no torch.cpu.get_capabilities"
    ]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("from torch.nn.functional import grouped_mm", "torch.nn.functional.grouped_mm"),
        ("import torch.nn.functional as F; F.grouped_mm(a)", "torch.nn.functional.grouped_mm"),
        ("from torch import nn; nn.Embedding(1, 2, weight_only=True)", "torch.nn.Embedding(weight_only=...)"),
        ("import torch; torch.cat(a, along=0)", "torch.cat(along=...)"),
        ("import torch.nothing as n", "torch.nothing"),
        ("import torch; torch.Tensor.no_method(a)", "torch.Tensor.no_method"),
    ],
)
def test_unknown_names_and_keywords_are_found(line: str, missing: str) -> None:
    found = faults_in({"x.py": line}, api_of("torch", "2.6.0"))
    assert f"x.py:1: torch==2.6.0 has no {missing}" in found


def test_method_that_only_the_installed_version_has_is_found() -> None:
    api = api_of("torch", "2.6.0")
    source = "def f(tensor):\n    return tensor.sum().newly_added()\n"
    assert faults(source, api, {"torch.Tensor": {"newly_added"}}) == [
        "2: torch==2.6.0 has no torch.Tensor.newly_added"
    ]


def test_what_is_not_listed_itself_is_not_searched() -> None:
    source = "import numpy as np\nnp.maximum.reduceat(a, b)\nnp.int64.__name__\nnp.__version__\n"
    assert faults_in({"x.py": source}, api_of("numpy", NUMPY)) == []


def test_version_without_a_list_is_refused_with_the_command_that_writes_it() -> None:
    with pytest.raises(MissingListError, match=r"run python -m ci\.container_api torch==1\.0\.0$"):
        api_of("torch", "1.0.0")
