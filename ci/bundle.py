"""Bundle the source that CodeBuild builds from: same tree, same bytes.

Writes ``source.zip`` and ``source.zip.sha256`` (the format of ``sha256sum``). Entries are sorted, stored as
they are, and carry one fixed time and mode: the checksum changes exactly when a bundled file does.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

BUNDLED = ("ml", "requirements")  # what the build, the training and the evaluation run from
IGNORED = {"__pycache__", ".DS_Store"}
EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the ZIP format knows no earlier one
REGULAR_FILE_RW_R_R = 0o100644


def bundled_files(root: Path) -> Iterator[Path]:
    """The bundled files below ``root``, relative to it and sorted by their POSIX path.

    Raises:
        FileNotFoundError: a bundled folder is missing: ``root`` is not this project.
    """
    files = []
    for folder in BUNDLED:
        if not (root / folder).is_dir():
            raise FileNotFoundError(f"{root / folder}: no such folder; --root must be the project's root")
        files += [
            path.relative_to(root)
            for path in (root / folder).rglob("*")
            if path.is_file() and not IGNORED.intersection(path.parts) and path.suffix != ".pyc"
        ]
    yield from sorted(files, key=lambda path: path.as_posix())


def write_bundle(root: Path, bundle: Path) -> str:
    """Write the bundle and its checksum file; returns the SHA-256 in hex."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    partial = bundle.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for path in bundled_files(root):
            entry = zipfile.ZipInfo(path.as_posix(), EARLIEST_ZIP_TIME)
            entry.external_attr = REGULAR_FILE_RW_R_R << 16
            entry.compress_type = zipfile.ZIP_STORED  # what deflate writes depends on the zlib at hand
            entry.create_system = 3  # Unix, whatever the machine: part of the bytes
            archive.writestr(entry, (root / path).read_bytes())
    partial.replace(bundle)
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    bundle.with_name(bundle.name + ".sha256").write_text(f"{digest}  {bundle.name}\n")
    return digest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ci.bundle", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--output", type=Path, default=Path("dist/source.zip"))
    args = parser.parse_args()
    try:
        digest = write_bundle(args.root, args.output)
    except OSError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 2
    print(f"{digest}  {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
