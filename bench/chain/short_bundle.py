"""Code bundle of the shortened chain: the product's code, with recorded steps instead of the long ones."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.chain import replay
from bench.chain.replay.definition import DEFINITION
from bench.chain.replay.recorded import ARCHIVE, INDEX

REPLAY = Path(replay.__file__).parent
# The product's files that the build and the recorded jobs import.
KEPT = (
    "ml/__init__.py",
    "ml/contract.py",
    "ml/manifest.py",
    "ml/pipeline/",
    "ml/settings/",
    "ml/ncf/__init__.py",
    "ml/ncf/data/__init__.py",
    "ml/ncf/data/interactions.py",
    "ml/ncf/data/prepared_run.py",
    "ml/ncf/evaluation/__init__.py",
    "ml/ncf/evaluation/champion.py",
    "ml/ncf/jobs/__init__.py",
    "ml/ncf/jobs/exit_reason.py",
    "ml/ncf/jobs/published_metrics.py",
    "ml/ncf/model/__init__.py",
    "ml/ncf/training/__init__.py",
    "ml/ncf/training/console.py",
    "requirements/",
)
# Recorded steps, by the file of the product that they replace.
JOBS = {
    "ml/ncf/jobs/train.py": "train.py",
    "ml/ncf/jobs/evaluate.py": "evaluate.py",
    "ml/ncf/model/artifact.py": "artifact.py",
    "ml/ncf/evaluation/comparison.py": "comparison.py",
}
MODULES = "modules.zip"  # in the folder of the package `ml`
EXTENDED = ("ml", "ml/ncf", "ml/ncf/jobs")  # packages of files, with further modules in the archive
UNPACKED = (
    "ml/replay/",
    "ml/ncf/jobs/train.py",
    "ml/ncf/jobs/evaluate.py",
    *(f"{package}/__init__.py" for package in EXTENDED),
)
BUILD = {
    "ml/pipeline/definition.py": "definition.py",
    "ml/pipeline/session.py": "session.py",
    "pip/__main__.py": "install.py",  # before the installed pip: the build starts it in the source folder
}


def short_bundle(product: bytes, recording: bytes, definition: str | None = None) -> bytes:
    """The bundle with recorded jobs.

    Args:
        product: the product's code bundle.
        recording: see `bench.chain.recorder`.
        definition: definition of the pipeline; the build is recorded too then. None: the SDK compiles it.
    """
    replaced = {target: _source(name) for target, name in JOBS.items()}
    replaced |= {f"ml/replay/{name}": _source(name) for name in ("__init__.py", "recorded.py", "artifact.py")}
    replaced[f"ml/replay/{ARCHIVE}"] = recording
    if definition is not None:
        replaced |= {target: _source(name) for target, name in BUILD.items()}
        replaced |= {"pip/__init__.py": b"", f"ml/replay/{DEFINITION}": definition.encode()}
    with zipfile.ZipFile(io.BytesIO(product)) as source:
        kept = {name: source.read(name) for name in source.namelist() if name.startswith(KEPT)}
    return write_zip(_packed({**kept, **replaced}))


def _packed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with most modules in one archive, from which Python imports them.

    The build writes each file of the bundle to S3, and each job reads them all again.
    """
    packed = {
        name: content
        for name, content in files.items()
        if name.startswith("ml/") and name.endswith(".py") and not name.startswith(UNPACKED)
    }
    found = {name: content for name, content in files.items() if name not in packed}
    for package in EXTENDED:
        up = "../" * package.count("/")
        line = f'\n__path__.append(f"{{__path__[0]}}/{up}{MODULES}/{package}")\n'
        found[f"{package}/__init__.py"] += line.encode()
    return {**found, f"ml/{MODULES}": write_zip(packed)}


def scaled(recording: bytes, scale: float) -> bytes:
    """The recording with another scale of its times."""
    files = dict(read_zip(recording))
    index = {**json.loads(files[INDEX]), "scale": scale}
    return write_zip({**files, INDEX: json.dumps(index).encode()})


def read_zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def write_zip(files: dict[str, bytes]) -> bytes:
    """An archive of files, in their order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _source(name: str) -> bytes:
    """A file of the folder `replay`, as part of the package `ml`."""
    return (REPLAY / name).read_bytes().replace(b"bench.chain.replay", b"ml.replay")
