"""Write the public API of a package version as a list, which tests compare the code of the containers with.

    python -m ci.container_api torch==2.6.0 numpy==1.26.4

A line of `tests/ml/container_api/PACKAGE-VERSION.txt` is a name, or a function with its parameters: those of
all overloads, and `*` if it takes any. The wheel is downloaded and read, not installed: torch's needs CUDA.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

LISTS = Path(__file__).parents[1] / "tests/ml/container_api"
PYTHON = "3.12"  # of the inference image; numpy has no other public names for Python 3.13
# The wheel of torch for this platform is the smallest for Linux: a CPU build.
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
# Modules and classes whose names are listed: those that a model, its training or its serving may use.
LISTED = {
    "torch": (
        *("", "amp", "autograd", "backends", "cpu", "cuda", "distributed", "fft", "linalg", "nn", "optim"),
        *(
            "nn.functional",
            "nn.init",
            "nn.parameter",
            "nn.utils",
            "optim.lr_scheduler",
            "random",
            "serialization",
        ),
        *("sparse", "special", "utils", "utils.data", "Tensor", "Generator", "nn.Module", "optim.Optimizer"),
    ),
    "numpy": (
        *("", "fft", "lib", "lib.format", "linalg", "random", "typing", "ndarray", "dtype"),
        "random.Generator",
    ),
}
# Modules whose functions a module copies into its namespace when it is imported.
COPIED = {("torch", ""): ("_C._VariableFunctions",)}
ANY = "*"


def main(pins: list[str]) -> int:
    """Write the list of each package."""
    for pin in pins:
        package, _, version = pin.partition("==")
        with tempfile.TemporaryDirectory() as folder:
            sources(pin, Path(folder))
            lines = sorted(set(api(package, Path(folder))))
        path = LISTS / f"{package}-{version}.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{path.relative_to(LISTS.parents[2])}: {len(lines)} names")
    return 0


def sources(pin: str, folder: Path) -> None:
    """Download a wheel, and unpack its Python files and type stubs."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        PYTHON,
        *platforms,
    ]
    subprocess.run([sys.executable, "-m", "pip", *command, "--dest", str(folder), pin], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        # A stub has the same names as its module, and all overloads.
        without_stub = {name for name in names if name.endswith(".py") and f"{name}i" not in names}
        archive.extractall(folder, without_stub | {name for name in names if name.endswith(".pyi")})


def api(package: str, folder: Path) -> Iterator[str]:
    """Lines of the list of an unpacked package."""
    loader = griffe.GriffeLoader(search_paths=[folder], allow_inspection=False)
    root = target(loader.load(package))
    if root is None:
        raise LookupError(f"{package}: no such package")
    loader.expand_wildcards(root)
    for listed in LISTED[package]:
        places = [
            root[listed] if listed else root,
            *(root[path] for path in COPIED.get((package, listed), ())),
        ]
        for place in filter(None, map(target, places)):
            for name in public_names(place, package):
                yield ".".join(filter(None, (package, listed, name))) + signature(place, name)


def target(item: griffe.Object | griffe.Alias) -> griffe.Object | None:
    """Object that an import refers to; None if it is in another package."""
    try:
        return item.final_target if isinstance(item, griffe.Alias) else item
    except griffe.AliasResolutionError:
        return None


def public_names(place: griffe.Object, package: str) -> set[str]:
    """Names of a module or class, those that it inherits or imports from its own package included."""
    members = place.all_members if isinstance(place, griffe.Class) else place.members
    own = {
        name
        for name, item in members.items()
        if not isinstance(item, griffe.Alias) or item.target_path.partition(".")[0] == package
    }
    return {name for name in own | set(overloads_of(place)) if not name.startswith("_")}


def overloads_of(place: griffe.Object) -> dict[str, list[griffe.Function]]:
    """Overloads by name; a function of a stub may have nothing else."""
    found: dict[str, list[griffe.Function]] = {}
    if isinstance(place, griffe.Class):
        for base in reversed(place.mro()):
            found |= base.overloads
    return found | place.overloads if isinstance(place, (griffe.Module, griffe.Class)) else found


def signature(place: griffe.Object, name: str) -> str:
    """Parameters of a function or class, empty if they are unknown."""
    item = place.all_members.get(name)
    known = target(item) if item is not None else None
    functions: list[Any] = list(overloads_of(place).get(name, []))
    if isinstance(known, (griffe.Function, griffe.Class)):
        functions.append(known)
        functions += (known.overloads or []) if isinstance(known, griffe.Function) else []
        if isinstance(known, griffe.Class):
            functions += known.overloads.get("__init__", []) + known.overloads.get("__new__", [])
    names = {shown(each) for function in functions for each in function.parameters} - {None, "self", "cls"}
    return f"({', '.join(sorted(filter(None, names)))})" if functions else ""


def shown(parameter: griffe.Parameter) -> str | None:
    """Name of a parameter that a caller may write; `*` for any, None for those by position only."""
    if parameter.kind is griffe.ParameterKind.var_keyword:
        return ANY
    by_position = (griffe.ParameterKind.positional_only, griffe.ParameterKind.var_positional)
    return None if parameter.kind in by_position else parameter.name


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
