"""The console's server answers its own page only, and names what is wrong with a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from local.console.server import MAX_BODY, ConsoleApp
from local.errors import BadInputError, StepFailedError

BASE = "http://127.0.0.1:8000"


class Recorder:
    """Console that records the requests it gets."""

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self._error = error

    def state(self) -> dict[str, Any]:
        return {"stage": "dev"}

    def act(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        if self._error is not None:
            raise self._error
        return {"done": True}


def post(console: Recorder, body: Any, origin: str | None = BASE, base: str = BASE) -> TestResponse:
    headers = {} if origin is None else {"Origin": origin}
    return Client(ConsoleApp(console)).post("/api", json=body, headers=headers, base_url=base)


def test_page_has_a_policy_that_allows_only_its_own_script_and_style() -> None:
    response = Client(ConsoleApp(Recorder())).get("/", base_url=BASE)
    policy = response.headers["Content-Security-Policy"]
    assert response.status_code == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    assert " style=" not in response.text  # inline attributes would need unsafe-inline
    assert (
        "//" not in response.text.replace("http://www.w3.org", "").partition("<script>")[0]
    )  # no other origin


def test_state_and_answers_are_json() -> None:
    console = Recorder()
    assert Client(ConsoleApp(console)).get("/api", base_url=BASE).get_json() == {"stage": "dev"}
    assert post(console, {"action": "log"}).get_json() == {"done": True}
    assert console.requests == [{"action": "log"}]


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:9999"])
def test_requests_of_other_sites_have_no_effect(origin: str | None) -> None:
    console = Recorder()
    response = post(console, {"action": "approve"}, origin=origin)
    assert response.status_code == 403
    assert console.requests == []


def test_other_host_names_are_refused() -> None:
    response = post(
        Recorder(), {"action": "log"}, origin="http://evil.example:8000", base="http://evil.example:8000"
    )
    assert response.status_code == 403
    assert BASE in response.get_json()["error"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(BadInputError("user: expected a text"), 400), (StepFailedError("recommend", "503: busy"), 502)],
)
def test_failure_is_one_line_with_its_status(error: Exception, status: int) -> None:
    response = post(Recorder(error), {"action": "recommend"})
    assert response.status_code == status
    assert response.get_json()["error"] in str(error)


@pytest.mark.parametrize("body", [["approve"], "approve", {"action": "x" * MAX_BODY}])
def test_bodies_that_are_no_object_or_too_long_are_refused(body: Any) -> None:
    console = Recorder()
    assert post(console, body).status_code == 400
    assert console.requests == []


def test_unknown_paths_and_methods_are_named() -> None:
    client = Client(ConsoleApp(Recorder()))
    assert client.get("/admin", base_url=BASE).status_code == 404
    assert client.delete("/api", base_url=BASE).status_code == 405
