"""Inference script of the SageMaker PyTorch container: model_fn, input_fn, predict_fn, output_fn.

Request   {"instances": [{"user_id": "42", "k": 10, "exclude_seen": true, "candidates": ["7", ...],
           "exclude_items": ["8", ...], "recent_items": ["9", {"item_id": "10", "weight": 2.5}, ...]}]}
Response  {"predictions": [{"user_id": "42", "items": [{"item_id": "7", "score": 1.5}],
           "strategy": "ncf" | "ncf+session" | "session" | "popular", "ignored_items": 0}],
           "model_version": "20261123T020000Z"}

All fields except `user_id` are optional. `recent_items` (newest last) move the vector of a known user
("ncf+session"), and give a new user one ("session"); those outside the catalogue are ignored, and counted in
`ignored_items`. They count as seen. Other unknown users, and users with a score that is not finite, get the
most popular items. Scores order the items of one user: they are the model's logits (of any model family), and
with "popular" the numbers of train interactions. Candidates outside the catalogue are ignored. The list is
shorter than k if fewer items are allowed.

Needs numpy and torch only: the artifact contains this file and the modules that it imports in `code/`, and
faiss if it has an index.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.ncf.model.artifact import ArtifactError
from ml.serving import model_server, ranking, request, store
from ml.serving.request import JSON, Instance
from ml.serving.store import Recommender


def model_fn(model_dir: str) -> Recommender:
    """Load an unpacked artifact.

    Raises:
        ml.ncf.model.artifact.ArtifactError: it cannot be loaded; TorchServe is stopped, so that the container
            fails its health check.
    """
    try:
        return store.load(Path(model_dir))
    except ArtifactError as error:
        model_server.stop(str(error))
        raise


def input_fn(body: str | bytes | bytearray, content_type: str) -> list[Instance]:
    """Parse and validate a request.

    Raises:
        ml.serving.request.RequestError: 415 for another content type, 400 for an invalid body.
    """
    return request.parse(body, content_type)


def predict_fn(data: list[Instance], model: Recommender) -> dict[str, Any]:
    """The response to a request."""
    return {"predictions": ranking.rank(data, model), "model_version": model.artifact.version}


def output_fn(prediction: Mapping[str, Any], accept: str) -> tuple[str, str]:
    """The response as JSON, with its content type; other accepted types are ignored."""
    del accept
    return json.dumps(prediction, allow_nan=False), JSON
