"""The model artifact in SageMaker's serving stack: answers, errors, and agreement with the emulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.serving_stack import Answer, Server, toolkit
from components.model_artifact import bootstrap_artifact
from ml import contract
from ml.ncf.model import artifact
from ml.serving import inference
from ml.serving.store import Recommender

ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}
MAX_USERS = contract.MAX_INSTANCES
LONG_NAME = "x" * 70_000  # more than the longest line of an HTTP header that clients read


def body(*instances: dict[str, Any]) -> bytes:
    return json.dumps({"instances": instances}).encode()


def users(n: int) -> list[dict[str, Any]]:
    return [{"user_id": f"u{number}"} for number in range(n)]


def expected(recommender: Recommender, request: bytes) -> dict[str, Any]:
    return inference.predict_fn(inference.input_fn(request, "application/json"), recommender)


def first_line(answer: Answer) -> str:
    return answer.body.decode().partition("\n")[0]


def rounded(response: dict[str, Any]) -> dict[str, Any]:
    """Scores to five digits: the kernels of another batch size or thread count differ in the last bits."""
    for prediction in response["predictions"]:
        for item in prediction["items"]:
            item["score"] = round(item["score"], 5)
    return response


def test_container_is_healthy(container: Server) -> None:
    assert container.ping() == 200


@pytest.mark.parametrize(
    ("request_body", "headers"),
    [
        pytest.param(body({"user_id": "u5"}), JSON, id="known user"),
        pytest.param(body({"user_id": "u5", "k": 3, "exclude_seen": False}), JSON, id="seen items"),
        pytest.param(body({"user_id": "u5", "candidates": ["i3", "i4", "nowhere"]}), JSON, id="candidates"),
        pytest.param(body({"user_id": "stranger"}), JSON, id="unknown user"),
        pytest.param(body({"user_id": "사용자\u2028 \x85"}), JSON, id="unusual characters in an id"),
        pytest.param(body(*users(MAX_USERS)), JSON, id="100 users"),
        pytest.param(
            body({"user_id": "u5"}), {"Content-Type": "application/json; charset=utf-8"}, id="charset"
        ),
        pytest.param(body({"user_id": "u5"}), JSON | {"Accept": "text/csv"}, id="other Accept"),
    ],
)
def test_container_answers_like_predict_fn_and_like_the_emulator(
    container: Server,
    emulator: Server,
    recommender: Recommender,
    request_body: bytes,
    headers: dict[str, str],
) -> None:
    answers = [server.invoke(request_body, headers) for server in (container, emulator)]

    wanted = rounded(expected(recommender, request_body))
    for answer in answers:
        assert (answer.status, answer.content_type) == (200, "application/json"), answer.body
        assert rounded(json.loads(answer.body)) == wanted


INVALID = {
    "text/csv": (b"a,b", {"Content-Type": "text/csv"}, 415, "content type 'text/csv'"),
    "npy": (body(*users(1)), {"Content-Type": "application/x-npy"}, 415, "content type"),
    "not JSON": (b"{", JSON, 400, "body: not JSON"),
    "not UTF-8": (b"\xff", {"Content-Type": "application/json;"}, 400, "body: not JSON"),
    "list": (b"[]", JSON, 400, "body: expected an object"),
    "no user": (body(), JSON, 400, f"instances: expected a list of 1 to {MAX_USERS} users"),
    "101 users": (body(*users(MAX_USERS + 1)), JSON, 400, "instances: expected a list"),
    "user_id": (body({"user_id": 5}), JSON, 400, "instances[0].user_id: "),
    "control character": (body({"user_id": "u1\x01"}), JSON, 400, "instances[0].user_id: "),
    "items": (body(*[{"user_id": "u1", "k": 1000}] * 3), JSON, 400, "instances: the sum of k is 3000"),
    "k": (body({"user_id": "u1", "k": 0}), JSON, 400, "instances[0].k: "),
    "exclude_seen": (
        body({"user_id": "u1"}, {"user_id": "u1", "exclude_seen": 1}),
        JSON,
        400,
        "instances[1].exclude_seen: ",
    ),
    "candidates": (body({"user_id": "u1", "candidates": []}), JSON, 400, "instances[0].candidates: "),
    "unknown field": (body({"user_id": "u1", "n": 1}), JSON, 400, "instances[0].n: unknown field"),
}


@pytest.mark.parametrize("fault", INVALID)
def test_invalid_request_has_the_documented_status_and_names_its_field(
    container: Server, emulator: Server, fault: str
) -> None:
    request_body, headers, status, message = INVALID[fault]
    answers = [server.invoke(request_body, headers) for server in (container, emulator)]

    for answer in answers:
        assert answer.status == status
        assert first_line(answer).startswith(message)
    assert len({first_line(answer) for answer in answers}) == 1


@pytest.mark.parametrize("name", [LONG_NAME, "é\u2028\x85", "한국어", "a\r\nSet-Cookie: b"])
def test_field_name_of_a_client_is_not_part_of_the_status_line(container: Server, name: str) -> None:
    answer = container.invoke(body({"user_id": "u1", name: 1}), JSON)

    assert answer.status == 400
    assert answer.body.decode().startswith("instances[0].")
    assert container.invoke(body(*users(1)), JSON).status == 200


def test_bootstrap_artifact_is_served(
    container_python: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sources = {name: (ROOT / path).read_bytes() for name, path in contract.serving_sources(ROOT).items()}
    description = {"schema_version": contract.SCHEMA_VERSION, "model_version": "bootstrap"}
    (tmp_path / "model.tar.gz").write_bytes(bootstrap_artifact(description, sources))
    artifact.unpack(tmp_path / "model.tar.gz", tmp_path / "model")

    with toolkit(container_python, tmp_path / "model", tmp_path_factory.mktemp("bootstrap")) as server:
        answer = server.invoke(body({"user_id": "u1"}), JSON)

    assert json.loads(answer.body)["predictions"] == [{"user_id": "u1", "items": [], "strategy": "popular"}]
