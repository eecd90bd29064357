"""Inference script of the SageMaker PyTorch container: model_fn, input_fn, predict_fn, output_fn.

Request   {"instances": [{"user_id": "42", "k": 10, "exclude_seen": true, "candidates": ["7", ...]}]}
Response  {"predictions": [{"user_id": "42", "items": [{"item_id": "7", "score": 1.5}],
           "strategy": "ncf" | "popular"}], "model_version": "20261123T020000Z"}

`k`, `exclude_seen` and `candidates` are optional. Unknown users, and users with a score that is not finite,
get the most popular items.
Scores order the items of one user: with strategy "ncf" they are the model's logits (of any model family),
with "popular" the numbers of train interactions. Candidates outside the catalogue are ignored. The list is
shorter than k if fewer items are allowed.

Needs numpy and torch only: the artifact contains this file and the modules that it imports in `code/`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ml.contract import MAX_ID_BYTES, MAX_INSTANCES, MAX_ITEMS_PER_REQUEST, MAX_K, canonical_id, is_id
from ml.ncf.model import artifact

try:  # the container returns the status of this exception class, and 500 for any other exception
    from sagemaker_inference.errors import BaseInferenceToolkitError as _ToolkitError
except ImportError:

    class _ToolkitError(Exception):  # type: ignore[no-redef]  # stand-in outside the container
        def __init__(self, status_code: int, message: str, phrase: str) -> None:
            super().__init__(message)
            self.status_code = status_code
            self.message = message
            self.phrase = phrase


_log = logging.getLogger(__name__)

JSON = "application/json"
DEFAULT_K = 10
MAX_SHOWN = 100  # characters of a client's text in a message: TorchServe drops connections with long errors
USER_FIELDS = {"user_id", "k", "exclude_seen", "candidates"}


class RequestError(_ToolkitError):
    """The request is invalid; `status_code` is the HTTP status, and `message` names the field.

    The container writes the phrase into the status line of its response, which no text of a client may reach.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(status.value, message, status.phrase)


@dataclass(frozen=True)
class Instance:
    """Validated request for one user."""

    user_id: str
    k: int = DEFAULT_K
    exclude_seen: bool = True
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Recommender:
    """An artifact and the indices of its ids."""

    artifact: artifact.Artifact
    user_index: Mapping[str, int] = field(default_factory=dict)
    item_index: Mapping[str, int] = field(default_factory=dict)

    def user(self, user_id: str) -> int | None:
        """Index of a user; None if the model does not know the user."""
        return self.user_index.get(canonical_id(user_id))


def model_fn(model_dir: str) -> Recommender:
    """Load an unpacked artifact.

    Raises:
        ml.ncf.model.artifact.ArtifactError: it cannot be loaded; the container then fails its health check.
    """
    loaded = artifact.read(Path(model_dir))
    if loaded.data is None:
        return Recommender(loaded)
    return Recommender(
        artifact=loaded,
        user_index={user_id: index for index, user_id in enumerate(loaded.data.user_ids.tolist())},
        item_index={item_id: index for index, item_id in enumerate(loaded.data.item_ids.tolist())},
    )


def input_fn(body: str | bytes | bytearray, content_type: str) -> list[Instance]:
    """Parse and validate a request.

    Raises:
        RequestError: 415 for another content type, 400 for an invalid body.
    """
    if (content_type or "").split(";")[0].strip().lower() != JSON:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content type {str(content_type)[:MAX_SHOWN]!r}: only {JSON} is supported",
        )
    try:
        document = json.loads(body)
    except ValueError as error:  # of JSON or of UTF-8
        raise RequestError(HTTPStatus.BAD_REQUEST, f"body: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, "body: expected an object with the field instances")
    _refuse_unknown(document, {"instances"}, "")
    instances = document.get("instances")
    if not isinstance(instances, list) or not 1 <= len(instances) <= MAX_INSTANCES:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"instances: expected a list of 1 to {MAX_INSTANCES} users"
        )
    found = [_instance(each, f"instances[{position}]") for position, each in enumerate(instances)]
    if (n_items := sum(each.k for each in found)) > MAX_ITEMS_PER_REQUEST:
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"instances: the sum of k is {n_items}: at most {MAX_ITEMS_PER_REQUEST}, so send fewer users",
        )
    return found


def _refuse_unknown(document: Mapping[str, Any], known: set[str], path: str) -> None:
    if unknown := sorted(set(document) - known):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"{path}{unknown[0][:MAX_SHOWN]}: unknown field; known are {', '.join(sorted(known))}",
        )


def _instance(document: Any, path: str) -> Instance:
    if not isinstance(document, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}: expected an object with the field user_id")
    _refuse_unknown(document, USER_FIELDS, f"{path}.")
    user_id = document.get("user_id")
    if not isinstance(user_id, str) or not is_id(user_id):
        raise RequestError(
            HTTPStatus.BAD_REQUEST,
            f"{path}.user_id: expected text of 1 to {MAX_ID_BYTES} bytes in UTF-8 without control characters",
        )
    k = document.get("k", DEFAULT_K)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}.k: expected an integer from 1 to {MAX_K}")
    exclude_seen = document.get("exclude_seen", True)
    if not isinstance(exclude_seen, bool):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{path}.exclude_seen: expected true or false")
    candidates = document.get("candidates")
    if candidates is not None and not (
        isinstance(candidates, list) and candidates and all(isinstance(each, str) for each in candidates)
    ):
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"{path}.candidates: expected a list of item ids that is not empty"
        )
    return Instance(
        user_id=user_id,
        k=k,
        exclude_seen=exclude_seen,
        candidates=None if candidates is None else tuple(candidates),
    )


def predict_fn(data: list[Instance], model: Recommender) -> dict[str, Any]:
    """The response to a request; all known users are scored in one batch."""
    users = [model.user(each.user_id) for each in data]
    scores = iter(_score(model, [user for user in users if user is not None]))
    predictions = []
    for each, user in zip(data, users, strict=True):
        of_user = None if user is None else next(scores)
        if of_user is not None and not np.isfinite(of_user).all():
            _log.error("model %s: a user's scores are not finite", model.artifact.version)
            of_user = None
        if of_user is None:
            predictions.append(_popular(each, model))
        else:
            predictions.append(_ranked(each, model, of_user, "ncf"))
    return {"predictions": predictions, "model_version": model.artifact.version}


def _score(model: Recommender, users: list[int]) -> NDArray[np.float32]:
    """Scores of B users for the catalogue: (B, I)."""
    if not users or model.artifact.model is None:
        return np.empty((0, 0), dtype=np.float32)
    with torch.inference_mode():
        return model.artifact.model.score_catalogue(torch.tensor(users)).numpy()


def _popular(instance: Instance, model: Recommender) -> dict[str, Any]:
    data = model.artifact.data
    if data is None:
        return {"user_id": instance.user_id, "items": [], "strategy": "popular"}
    return _ranked(instance, model, data.popularity.astype(np.float32), "popular")


def _ranked(
    instance: Instance, model: Recommender, scores: NDArray[np.float32], strategy: str
) -> dict[str, Any]:
    """The k allowed items with the highest scores, highest first; ties in the order of the catalogue."""
    data = model.artifact.data
    assert data is not None  # noqa: S101 -- an artifact with scores has data
    allowed = np.ones(len(scores), dtype=bool)
    if instance.candidates is not None:
        candidates = [canonical_id(each) for each in instance.candidates]
        wanted = [model.item_index[each] for each in candidates if each in model.item_index]
        allowed[:] = False
        allowed[wanted] = True
    user = model.user(instance.user_id)
    if instance.exclude_seen and user is not None:
        allowed[data.seen(user)] = False
    rows = np.flatnonzero(allowed)
    best = rows[np.argsort(-scores[rows], kind="stable")[: instance.k]]
    items = [{"item_id": str(data.item_ids[row]), "score": float(scores[row])} for row in best]
    return {"user_id": instance.user_id, "items": items, "strategy": strategy}


def output_fn(prediction: Mapping[str, Any], accept: str) -> tuple[str, str]:
    """The response as JSON, with its content type; other accepted types are ignored."""
    del accept
    return json.dumps(prediction, allow_nan=False), JSON
