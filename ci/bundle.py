"""Create the source bundle of CodeBuild: a zip with the same bytes for the same files.

Writes ``source.zip`` and ``source.zip.sha256`` (the format of ``sha256sum``). The checksum changes when a
bundled file changes, and only then. Standard library only: Jenkins runs this without installing anything.

`--wheels` adds the wheels of a folder, the packages of `requirements/jobs.lock`, for the jobs in SageMaker.
On this machine the jobs import them from the environment.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from components.packing import write_file, zip_bytes

BUNDLED = ("ml", "requirements")  # source of the build, the training and the evaluation
WHEELS_FOLDER = "ml/packages"  # in the bundle; `ml.ncf.jobs.packages` unpacks them
IGNORED = {"__pycache__", ".DS_Store"}
ANY_PYTHON = {"abi3", "none"}  # ABI tags of wheels for several versions of Python


def bundled_files(root: Path) -> Iterator[Path]:
    """The bundled files below ``root``, relative to it and sorted by their POSIX path.

    Raises:
        FileNotFoundError: a bundled folder is missing, so ``root`` is not the root of this project.
    """
    files = []
    for folder in BUNDLED:
        if not (root / folder).is_dir():
            raise FileNotFoundError(
                f"{root / folder}: no such folder; --root must be the root of the project"
            )
        files += [
            path.relative_to(root)
            for path in (root / folder).rglob("*")
            if path.is_file() and not IGNORED.intersection(path.parts) and path.suffix != ".pyc"
        ]
    yield from sorted(files, key=lambda path: path.as_posix())


def wheels_of(folder: Path) -> dict[str, bytes]:
    """The wheels of a folder by their path in the bundle.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a wheel is for one version of Python.
    """
    paths = sorted(folder.glob("*.whl"))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: no wheel; download them with pip download --requirement requirements/jobs.lock"
        )
    for path in paths:
        # <name>-<version>[-<build>]-<Python>-<ABI>-<platform>.whl
        if path.stem.split("-")[-2] not in ANY_PYTHON:
            raise ValueError(
                f"{path}: for one version of Python, but training and serving have different ones; choose a "
                "version of the package whose wheels have the ABI abi3, or none, in requirements/jobs.in"
            )
    return {f"{WHEELS_FOLDER}/{path.name}": path.read_bytes() for path in paths}


def write_bundle(root: Path, bundle: Path, wheels: Path | None = None) -> str:
    """Write the bundle and its checksum file; returns the SHA-256 in hexadecimal."""
    files = {path.as_posix(): (root / path).read_bytes() for path in bundled_files(root)}
    content = zip_bytes(files | (wheels_of(wheels) if wheels else {}))
    write_file(bundle, content)
    digest = hashlib.sha256(content).hexdigest()
    bundle.with_name(bundle.name + ".sha256").write_text(f"{digest}  {bundle.name}\n")
    return digest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ci.bundle", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--wheels", type=Path, help="folder with the wheels of requirements/jobs.lock")
    parser.add_argument("--output", type=Path, default=Path("dist/source.zip"))
    args = parser.parse_args()
    try:
        digest = write_bundle(args.root, args.output, args.wheels)
    except (OSError, ValueError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 2
    print(f"{digest}  {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
