from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.contract import serving_sources
from ml.ncf.model import artifact
from ml.ncf.model.ids import IdMap
from ml.serving import inference
from ml.serving.request import Instance, RequestError
from ml.serving.store import Recommender
from tests.ml.ncf.conftest import channels, model_dir, prepared_run  # noqa: F401 -- fixtures of the model's tests
from tests.ml.ncf.serving_process import serve

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recommender(model_dir: Path) -> Recommender:  # noqa: F811
    return inference.model_fn(str(model_dir))


def respond(recommender: Recommender, *instances: dict) -> dict:
    body = json.dumps({"instances": list(instances)})
    prediction = inference.predict_fn(inference.input_fn(body, "application/json"), recommender)
    text, content_type = inference.output_fn(prediction, "application/json")
    assert content_type == "application/json"
    return json.loads(text)


def item_ids(prediction: dict) -> list[str]:
    return [item["item_id"] for item in prediction["items"]]


def seen_ids(recommender: Recommender, user_id: str) -> set[str]:
    data = recommender.artifact.data
    return {data.item_ids[item] for item in data.seen(recommender.user(user_id))}


def test_known_user_gets_ten_unseen_items_highest_score_first(recommender: Recommender) -> None:
    response = respond(recommender, {"user_id": "u5"})
    (prediction,) = response["predictions"]
    scores = [item["score"] for item in prediction["items"]]
    assert response["model_version"] == "20261123T020000Z"
    assert (prediction["user_id"], prediction["strategy"], len(scores)) == ("u5", "ncf", 10)
    assert scores == sorted(scores, reverse=True)
    assert not set(item_ids(prediction)) & seen_ids(recommender, "u5")


def test_seen_items_are_included_on_request(recommender: Recommender) -> None:
    (prediction,) = respond(recommender, {"user_id": "u5", "k": 1000, "exclude_seen": False})["predictions"]
    assert set(item_ids(prediction)) == set(recommender.artifact.data.item_ids.tolist())


def test_only_known_candidates_are_ranked(
    recommender: Recommender,
) -> None:
    request = {"user_id": "u5", "candidates": ["i3", "i4", "nowhere"], "exclude_seen": False}
    (prediction,) = respond(recommender, request)["predictions"]
    assert set(item_ids(prediction)) == {"i3", "i4"}


def test_unknown_user_gets_the_popular_items(recommender: Recommender) -> None:
    (prediction,) = respond(recommender, {"user_id": "stranger", "k": 3})["predictions"]
    popularity = recommender.artifact.data.popularity
    assert prediction["strategy"] == "popular"
    assert [item["score"] for item in prediction["items"]] == np.sort(popularity)[::-1][:3].tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
def test_user_with_a_score_that_is_not_finite_gets_the_popular_items(
    model_dir: Path,  # noqa: F811
    value: float,
) -> None:
    model = inference.model_fn(str(model_dir))
    with torch.no_grad():
        model.artifact.model.gmf.user_input.embedding.weight[model.user("u5")] = value
    users = [{"user_id": "u5"}, {"user_id": "stranger"}, {"user_id": "u9"}]
    predictions = respond(model, *users)["predictions"]
    assert [each["strategy"] for each in predictions] == ["popular", "popular", "ncf"]
    assert not set(item_ids(predictions[0])) & seen_ids(model, "u5")


def test_users_and_candidates_are_looked_up_by_their_normalised_ids(
    recommender: Recommender,
) -> None:
    data = recommender.artifact.data
    renamed = replace(
        data,
        user_ids=IdMap.of("7" if each == "u5" else each for each in data.user_ids.tolist()),
        item_ids=IdMap.of("12" if each == "i3" else each for each in data.item_ids.tolist()),
    )
    model = Recommender(replace(recommender.artifact, data=renamed))
    request = {"user_id": "7.0", "candidates": ["12.0 "], "exclude_seen": False}
    (prediction,) = respond(model, request)["predictions"]
    assert (prediction["user_id"], prediction["strategy"]) == ("7.0", "ncf")
    assert item_ids(prediction) == ["12"]
    (everything,) = respond(model, {"user_id": " 7", "k": 1000})["predictions"]
    assert not set(item_ids(everything)) & seen_ids(model, "7")


@pytest.mark.parametrize("user_id", ["a\tb", "del\x7f", "   ", "x" * 513])
def test_user_id_that_the_preparation_does_not_write_is_400(user_id: str) -> None:
    with pytest.raises(RequestError, match=r"^instances\[0\]\.user_id: expected") as raised:
        inference.input_fn(json.dumps({"instances": [{"user_id": user_id}]}), "application/json")
    assert raised.value.status_code == 400


def test_predictions_are_in_the_order_of_the_request(recommender: Recommender) -> None:
    together = respond(recommender, {"user_id": "u9"}, {"user_id": "stranger"}, {"user_id": "u5"})[
        "predictions"
    ]
    alone = [respond(recommender, {"user_id": user})["predictions"][0] for user in ("u9", "stranger", "u5")]
    assert [each["user_id"] for each in together] == ["u9", "stranger", "u5"]
    assert [item_ids(each) for each in together] == [item_ids(each) for each in alone]


@pytest.mark.parametrize("content_type", ["text/csv", "application/x-npy", "", None])
def test_other_content_type_is_415(content_type: str | None) -> None:
    with pytest.raises(RequestError, match="only application/json") as raised:
        inference.input_fn("{}", content_type)
    assert raised.value.status_code == 415


def test_json_with_a_charset_is_accepted() -> None:
    instances = inference.input_fn(b'{"instances": [{"user_id": "u"}]}', "application/json; charset=utf-8")
    assert instances == [Instance("u")]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("{", "body: not JSON"),
        (b"\xff\xfe", "body: not JSON"),
        ([], "body"),
        ({}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": [{"user_id": "u"}] * 101}, "instances"),
        ({"instances": [{"user_id": "u"}], "top": 1}, "top: unknown field"),
        ({"instances": ["u"]}, r"instances\[0\]"),
        ({"instances": [{"user_id": "u"}, {"user_id": 7}]}, r"instances\[1\]\.user_id"),
        ({"instances": [{"user_id": ""}]}, r"instances\[0\]\.user_id"),
        ({"instances": [{"user_id": "u", "k": 0}]}, r"instances\[0\]\.k"),
        ({"instances": [{"user_id": "u", "k": 1001}]}, r"instances\[0\]\.k"),
        ({"instances": [{"user_id": "u", "k": True}]}, r"instances\[0\]\.k"),
        ({"instances": [{"user_id": "u", "k": "10"}]}, r"instances\[0\]\.k"),
        ({"instances": [{"user_id": "u", "exclude_seen": "no"}]}, r"instances\[0\]\.exclude_seen"),
        ({"instances": [{"user_id": "u", "candidates": []}]}, r"instances\[0\]\.candidates"),
        ({"instances": [{"user_id": "u", "candidates": [1]}]}, r"instances\[0\]\.candidates"),
        ({"instances": [{"user_id": "u", "exclude_sen": True}]}, r"instances\[0\]\.exclude_sen: unknown"),
    ],
)
def test_invalid_body_is_400_and_names_the_field(document: object, field: str) -> None:
    body = document if isinstance(document, str | bytes) else json.dumps(document)
    with pytest.raises(RequestError, match=f"^{field}") as raised:
        inference.input_fn(body, "application/json")
    assert raised.value.status_code == 400


def write_bootstrap_artifact(folder: Path) -> Path:
    """Write the artifact that the infrastructure deploys before the first training; returns its folder."""
    for inside, source in serving_sources(ROOT).items():
        target = folder / "code" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, target)
    (folder / "model.json").write_text('{"schema_version": 1, "model_version": "bootstrap"}')
    return folder


def test_bootstrap_artifact_serves_an_empty_popular_list(tmp_path: Path) -> None:
    response = respond(inference.model_fn(str(write_bootstrap_artifact(tmp_path))), {"user_id": "u5"})
    assert response == {
        "predictions": [{"user_id": "u5", "items": [], "strategy": "popular"}],
        "model_version": "bootstrap",
    }


def test_code_in_the_artifact_serves_it_in_a_clean_process(model_dir: Path) -> None:  # noqa: F811
    assert len(serve(model_dir)["predictions"][0]["items"]) == 10


def test_artifact_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"schema_version": 99, "model_version": "x"}')
    with pytest.raises(artifact.ArtifactError, match="schema_version is 99"):
        inference.model_fn(str(tmp_path))


def test_weights_of_another_size_than_the_maps_are_refused(model_dir: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "model"
    shutil.copytree(model_dir, folder)
    info = json.loads((folder / "model.json").read_text())
    info["model"]["n_items"] += 1
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(artifact.ArtifactError, match="cannot be loaded"):
        inference.model_fn(str(folder))
