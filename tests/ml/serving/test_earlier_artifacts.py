"""Artifacts as earlier versions of the code wrote them, with the answers that those versions gave.

`artifacts/<family>.tar.gz` has the files of an artifact without `code/`, and `answers.json`. After a change
of the format, add an artifact that the new code wrote, and keep the newest two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.ncf.model import artifact
from ml.serving import inference
from ml.serving.store import Recommender

ARCHIVES = sorted(Path(__file__).with_name("artifacts").glob("*.tar.gz"))
ITEMS = st.lists(st.sampled_from([*(f"i{n}" for n in range(30)), "nowhere"]), unique=True, max_size=12)
INSTANCES = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u0", "u4", "stranger"]),
        "k": st.integers(1, 40),
        "recent_items": ITEMS,
        "exclude_items": ITEMS,
        "exclude_seen": st.booleans(),
    }
)


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    unpacked = tmp_path_factory.mktemp("earlier")
    artifact.unpack(request.param, unpacked)
    return unpacked


@pytest.fixture(scope="module")
def recommender(folder: Path) -> Recommender:
    return inference.model_fn(str(folder))


def answer(recommender: Recommender, request: dict[str, Any]) -> dict[str, Any]:
    instances = inference.input_fn(json.dumps(request), "application/json")
    body, _ = inference.output_fn(inference.predict_fn(instances, recommender), "application/json")
    return json.loads(body)


def test_earlier_artifact_gives_the_answers_of_its_time(folder: Path, recommender: Recommender) -> None:
    recorded = json.loads((folder / "answers.json").read_text())
    found, wanted = answer(recommender, recorded["request"]), recorded["response"]
    for each, expected in zip(found["predictions"], wanted["predictions"], strict=True):
        scores, of_expected = ([item.pop("score") for item in one["items"]] for one in (each, expected))
        assert scores == pytest.approx(of_expected, rel=1e-4, abs=1e-5)
    assert found == wanted


@settings(max_examples=30, deadline=None)
@given(INSTANCES)
def test_lists_of_an_earlier_artifact_have_the_invariants_of_ranking(
    recommender: Recommender, instance: dict[str, Any]
) -> None:
    response = answer(recommender, {"instances": [instance]})
    (prediction,) = response["predictions"]
    items = [item["item_id"] for item in prediction["items"]]
    scores = [item["score"] for item in prediction["items"]]
    data = recommender.artifact.data
    assert data is not None
    row = recommender.user(instance["user_id"])
    seen = {data.item_ids[item] for item in ([] if row is None else data.seen(row).tolist())}
    refused = set(instance["exclude_items"])
    if instance["exclude_seen"]:
        refused |= seen | set(instance["recent_items"])
    assert len(items) == len(set(items)) == min(instance["k"], 30 - len(refused - {"nowhere"}))
    assert not refused & set(items)
    assert scores == sorted(scores, reverse=True)
    assert response == answer(recommender, {"instances": [instance]})
