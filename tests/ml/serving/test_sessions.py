"""Sessions in the inference container: strategies, exclusions, ignored items and invalid fields."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.serving import inference
from ml.serving.request import RequestError
from ml.serving.store import Recommender
from tests.ml.ncf.conftest import channels, model_dir, prepared_run  # noqa: F401 -- fixtures of the model's tests

N_GROUPS = 4  # of the grouped shop: user u and item i belong to the groups u % 4 and i % 4


@pytest.fixture(scope="module")
def recommender(model_dir: Path) -> Recommender:  # noqa: F811
    return inference.model_fn(str(model_dir))


def predict(recommender: Recommender, **instance: Any) -> dict[str, Any]:
    body = json.dumps({"instances": [{"user_id": "stranger", **instance}]})
    answer = inference.predict_fn(inference.input_fn(body, "application/json"), recommender)
    (prediction,) = json.loads(inference.output_fn(answer, "application/json")[0])["predictions"]
    return prediction


def items_of(prediction: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in prediction["items"]]


@pytest.mark.parametrize(
    ("user_id", "recent_items", "strategy", "n_ignored"),
    [
        ("u5", None, "ncf", None),
        ("u5", [], "ncf", 0),
        ("u5", ["nowhere"], "ncf", 1),
        ("u5", ["i3", "nowhere"], "ncf+session", 1),
        ("stranger", None, "popular", None),
        ("stranger", ["nowhere", "none"], "popular", 2),
        ("stranger", ["i3", "nowhere", {"item_id": "i7", "weight": 2.5}], "session", 1),
    ],
)
def test_strategy_says_what_the_items_come_from(
    recommender: Recommender,
    user_id: str,
    recent_items: list[Any] | None,
    strategy: str,
    n_ignored: int | None,
) -> None:
    request = {} if recent_items is None else {"recent_items": recent_items}
    found = predict(recommender, user_id=user_id, **request)
    assert (found["strategy"], found.get("ignored_items")) == (strategy, n_ignored)
    assert len(found["items"]) == 10


@pytest.mark.parametrize("group", range(N_GROUPS))
def test_session_gives_a_new_user_the_items_of_its_group(recommender: Recommender, group: int) -> None:
    recent = [f"i{group + N_GROUPS * n}" for n in range(5)]
    found = items_of(predict(recommender, recent_items=recent))
    assert not set(recent) & set(found)
    own = [item for item in found if int(item[1:]) % N_GROUPS == group]
    assert len(own) >= 8
    popular = items_of(predict(recommender))
    assert len(own) > len([item for item in popular if int(item[1:]) % N_GROUPS == group])


def test_session_moves_a_known_user_and_the_newest_items_move_most(recommender: Recommender) -> None:
    def share(group: int, **request: Any) -> int:
        found = items_of(predict(recommender, user_id="u4", k=20, **request))
        return sum(int(item[1:]) % N_GROUPS == group for item in found)

    session = [f"i{1 + N_GROUPS * n}" for n in range(10)]  # of another group than the user's
    assert share(0) > share(1)
    assert share(1, recent_items=session) > share(1)
    other = [f"i{2 + N_GROUPS * n}" for n in range(10)]
    assert share(2, recent_items=[*session, *other]) >= share(2, recent_items=[*other, *session])


def test_weight_moves_the_recommendations_towards_an_item(recommender: Recommender) -> None:
    def first_group(weight: float) -> int:
        recent = [{"item_id": "i1", "weight": weight}, "i2", "i6"]
        found = items_of(predict(recommender, recent_items=recent, k=20))
        return sum(int(item[1:]) % N_GROUPS == 1 for item in found)

    assert first_group(1000) > first_group(0.001)


def test_excluded_and_recent_items_are_not_recommended(recommender: Recommender) -> None:
    before = items_of(predict(recommender, user_id="u5"))
    after = items_of(
        predict(recommender, user_id="u5", exclude_items=[before[0], f"{before[1]} ", "nowhere"])
    )
    assert after[:8] == before[2:]
    everything = predict(recommender, k=1000, recent_items=["i3"], exclude_items=["i4"])
    assert set(items_of(everything)) == set(recommender.artifact.data.item_ids.tolist()) - {"i3", "i4"}
    seen = predict(recommender, k=1000, recent_items=["i3"], exclude_seen=False)
    assert set(items_of(seen)) == set(recommender.artifact.data.item_ids.tolist())


def test_artifact_without_a_session_map_ignores_recent_items(recommender: Recommender) -> None:
    """Artifacts of earlier versions have none."""
    earlier = replace(recommender, artifact=replace(recommender.artifact, session=None))
    found = predict(earlier, recent_items=["i3", "i4"])
    assert (found["strategy"], found["ignored_items"]) == ("popular", 2)
    assert predict(earlier, user_id="u5", recent_items=["i3"])["strategy"] == "ncf"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("recent_items", "i3", "instances[0].recent_items: expected a list of at most 200 items"),
        ("recent_items", ["i"] * 201, "instances[0].recent_items: expected a list of at most 200 items"),
        ("recent_items", ["i3", 3], "instances[0].recent_items[1]: expected an item id"),
        ("recent_items", [{"item_id": "i3", "kind": 1}], "instances[0].recent_items[0]: expected an item id"),
        ("recent_items", [{"item_id": 3}], "instances[0].recent_items[0].item_id: expected text"),
        ("recent_items", [{"item_id": "i3", "weight": 0}], "instances[0].recent_items[0].weight: expected"),
        ("recent_items", ["7", "i3", "7.0"], "instances[0].recent_items[2]: the same item as instances[0]"),
        ("exclude_items", "i3", "instances[0].exclude_items: expected a list of item ids"),
        ("exclude_items", [3], "instances[0].exclude_items: expected a list of item ids"),
    ],
)
def test_invalid_field_is_400_that_names_it(field: str, value: Any, message: str) -> None:
    body = json.dumps({"instances": [{"user_id": "u5", field: value}]})
    with pytest.raises(RequestError) as raised:
        inference.input_fn(body, "application/json")
    assert raised.value.status_code == 400
    assert str(raised.value).startswith(message)


def test_lists_of_a_request_are_those_of_requests_for_one_user(recommender: Recommender) -> None:
    instances: list[dict[str, Any]] = [
        {"user_id": "u3", "k": 5},
        {"user_id": "u4", "recent_items": ["i1", "i5"]},
        {"user_id": "stranger", "recent_items": ["i2"], "k": 3},
        {"user_id": "u5"},
        {"user_id": "stranger"},
        {"user_id": "u6", "recent_items": ["i7"]},
        {"user_id": "u7", "candidates": ["i1", "i2", "i3"]},
    ]
    body = json.dumps({"instances": instances})
    together = inference.predict_fn(inference.input_fn(body, "application/json"), recommender)["predictions"]
    alone = [predict(recommender, **each) for each in instances]
    assert [items_of(each) for each in together] == [items_of(each) for each in alone]
    assert [each["strategy"] for each in together] == [each["strategy"] for each in alone]
    assert {each["strategy"] for each in alone} == {"ncf", "ncf+session", "session", "popular"}
