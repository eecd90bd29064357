"""Answers of the API: known and unknown users, sessions, invalid requests and the fallback."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from bench import endpoint_faults, fuzz_api
from local.api import recommend
from tests.e2e.platform import ServedPlatform

pytestmark = pytest.mark.e2e


def test_known_user_gets_k_unseen_items_in_descending_order(platform: ServedPlatform) -> None:
    seen = platform.seen()
    for user in list(seen)[:25]:
        answer = platform.get(f"/recommendations/{quote(user)}", k="20").json()
        items = [item["item_id"] for item in answer["items"]]
        assert len(set(items)) == 20
        assert not seen[user].intersection(items)
        scores = [item["score"] for item in answer["items"]]
        assert scores == sorted(scores, reverse=True)
        assert answer["strategy"] == "ncf"


def test_unknown_user_gets_popular_items(platform: ServedPlatform) -> None:
    answer = platform.get("/recommendations/unknown%20user%2F1").json()
    assert answer["strategy"] == "popular"
    assert answer["user_id"] == "unknown user/1"
    assert len(answer["items"]) == 10


@pytest.mark.parametrize("k", ["0", "abc", "1001", "-3", "1.5"])
def test_invalid_k_is_refused_with_its_name_and_range(platform: ServedPlatform, k: str) -> None:
    response = platform.get("/recommendations/u000001", k=k)
    assert response.status_code == 400
    error = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert "k" in error["message"].split() or "k:" in error["message"]
    assert "1000" in error["message"]


def test_unknown_path_is_404_with_a_request_id(platform: ServedPlatform) -> None:
    response = platform.get("/nowhere")
    assert response.status_code == 404
    assert response.json()["error"]["request_id"]


def test_session_moves_a_known_user_and_gives_a_new_one_personal_items(platform: ServedPlatform) -> None:
    user, items = next(iter(platform.seen().items()))
    other = sorted(set().union(*platform.seen().values()) - items)[:5]
    known, new, unknown = (
        recommend(platform.stage, name, recent_items=recent)
        for name, recent in ((user, other), ("visitor", [*other, "nowhere"]), ("visitor", ["nowhere"]))
    )
    assert (known["strategy"], known["ignored_items"]) == ("ncf+session", 0)
    assert (new["strategy"], new["ignored_items"]) == ("session", 1)
    assert (unknown["strategy"], unknown["ignored_items"]) == ("popular", 1)
    for answer in (known, new):
        assert not {item["item_id"] for item in answer["items"]}.intersection(other)
    excluded = new["items"][0]["item_id"]
    again = recommend(platform.stage, "visitor", recent_items=other, exclude_items=[excluded])
    assert again["items"] == new["items"][1:] + again["items"][-1:]


def test_popular_list_of_the_deployed_model_answers_while_the_endpoint_is_throttled(
    platform: ServedPlatform,
) -> None:
    api_url = platform.stage.outputs["api_url"].rstrip("/")
    with endpoint_faults.faulty_runtime(platform.stage) as runtime:
        assert platform.get("/recommendations/u000001").json()["strategy"] == "ncf"
        runtime.fault = "throttled"
        answer = platform.get("/recommendations/u000001").json()
        assert (answer["strategy"], answer["model_version"]) == ("fallback", platform.run["run_id"])
        assert len(answer["items"]) == 10
        answers = endpoint_faults.ask(api_url, 8, n_clients=1)
    assert {(each.status, each.strategy) for each in answers} == {(200, "fallback")}
    assert runtime.n_calls <= 1 + 3  # then the circuit is open
    starts, n_fallbacks = endpoint_faults.alarm_on_fallbacks(platform.stage)
    assert n_fallbacks >= 9
    assert starts


def test_generated_requests_give_valid_responses(platform: ServedPlatform) -> None:
    found = fuzz_api.fuzz(platform.stage.outputs["api_url"].rstrip("/"), 80, seed=3)
    assert found.failures == []
    assert {label.rpartition(" ")[2] for label in found.statuses} >= {"200", "400"}
