"""Recorded inference script of a model artifact: checks the files, and answers with the recorded lists.

Standard library only: it runs alone in the endpoint's container.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

PREDICTIONS = "predictions.json"  # beside this file: `load_s`, and the recorded prediction of each user


def model_fn(model_dir: str) -> dict[str, Any]:
    """Load the model in its recorded time; a damaged file is an error."""
    folder = Path(model_dir)
    info = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for name, digest in info["recorded_files"].items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ValueError(f"{name}: damaged")
    recorded = json.loads(Path(__file__).with_name(PREDICTIONS).read_text(encoding="utf-8"))
    time.sleep(recorded["load_s"])
    return {"version": info["model_version"], "predictions": recorded["predictions"]}


def transform_fn(model: dict[str, Any], data: str, content_type: str, accept: str) -> tuple[str, str]:
    """Answer a request."""
    del content_type, accept
    found = []
    for instance in json.loads(data)["instances"]:
        user = str(instance["user_id"])
        known = model["predictions"].get(user) or next(iter(model["predictions"].values()))
        found.append({**known, "user_id": user, "items": known["items"][: instance.get("k", 10)]})
    body = {"predictions": found, "model_version": model["version"]}
    return json.dumps(body), "application/json"
