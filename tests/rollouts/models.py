"""Artifacts of tiny models: a good inference script, one that is bad in each way, and a damaged index."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ml.ncf.model.index_files import LIBRARY_FOLDERS
from tests.indexed_artifact import damage, write_indexed

GOOD = """
import json, os, time
def model_fn(model_dir):
    return open(os.path.join(model_dir, "version")).read()
def input_fn(body, content_type):
    return json.loads(body)["instances"]
def predict_fn(data, model):
    items = [{"item_id": str(n), "score": 10.0 - n} for n in range(10)]
    found = [{"user_id": each["user_id"], "items": items[:each["k"]], "strategy": "ncf"} for each in data]
    return {"predictions": found, "model_version": model}
def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
"""


def changed(name: str, body: str) -> str:
    """The good script, with one of its functions replaced by another one."""
    arguments = {"model_fn": "model_dir", "predict_fn": "data, model"}[name]
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return f"{GOOD}\ngood = {name}\ndef {name}({arguments}):\n{indented}"


BAD_SCRIPTS = {
    "never healthy": changed("model_fn", "raise RuntimeError('no weights')"),
    "dies on request": changed("predict_fn", "os._exit(9)"),
    "slow": changed("predict_fn", "time.sleep(0.3)\nreturn good(data, model)"),
    "answers for nobody": changed("predict_fn", "return {'predictions': [], 'model_version': model}"),
    "empty lists": changed(
        "predict_fn",
        "found = good(data, model)\nfor each in found['predictions']:\n    each['items'] = []\nreturn found",
    ),
    "not finite": changed(
        "predict_fn",
        "found = good(data, model)\nfor each in found['predictions']:\n"
        "    each['items'][0]['score'] = float('nan')\nreturn found",
    ),
    # Answers without a version count as those of any new model.
    "no JSON": changed("predict_fn", "return 'no prediction'"),
}
# Fails for one user: a single error among many requests.
NEARLY_GOOD = changed("predict_fn", "assert data[0]['user_id'] != 'unlucky'\nreturn good(data, model)")

# Valid answers with items that nobody clicks.
UNWANTED = changed(
    "predict_fn",
    "found = good(data, model)\nfor each in found['predictions']:\n"
    "    for item in each['items']:\n        item['item_id'] = '9' + item['item_id']\nreturn found",
)


def archive(version: str, script: str) -> bytes:
    """A model artifact of a script."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, text in {"version": version, "code/inference.py": script}.items():
            info = tarfile.TarInfo(path)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def with_damaged_index(version: str) -> bytes:
    """The artifact of a large catalogue, as the training job writes it; damaged after that."""
    with tempfile.TemporaryDirectory() as name, io.BytesIO() as buffer:
        folder = Path(name)
        write_indexed(folder, version)
        damage(folder)
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
            tar.add(folder, arcname=".", filter=_without_library)
        return buffer.getvalue()


def _without_library(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """64 MiB of faiss are left out: the emulator's container has it."""
    return None if Path(entry.name).name in LIBRARY_FOLDERS else entry


BAD: dict[str, Callable[[str], bytes]] = {
    "damaged index": with_damaged_index,
    **{kind: partial(archive, script=script) for kind, script in BAD_SCRIPTS.items()},
}
