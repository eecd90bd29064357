"""JSON of the console: the state that the page polls, and the responses to actions on it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local.console.alarms import alarms
from local.console.dead_letters import dead_letters
from local.console.evaluation import evaluation_of, served_values, training_curve
from local.console.logs import step_log
from local.console.models import decide, endpoint_state, newest_packages
from local.console.runs import Runs
from local.console.source import Source
from local.console.users import Visitors
from local.errors import BadInputError
from ml import contract

POLL_S = {False: 2, True: 15}  # by `is_read_only`: requests to an account cost money and quota


class Console:
    """Data and actions of the console's page.

    Args:
        source: the stage.
        titles: names of items by item id.
    """

    def __init__(self, source: Source, titles: Mapping[str, str] | None = None) -> None:
        self._source = source
        self._runs = Runs(source)
        self._visitors = Visitors(source, titles or {})
        self._lock = threading.Lock()  # pages of several tabs read one after the other

    def state(self) -> dict[str, Any]:
        """Runs, packages, endpoint, dead letters and alarms at this moment."""
        with self._lock:
            packages = newest_packages(self._source)
            endpoint = endpoint_state(self._source)
            return {
                "stage": self._source.stage,
                "region": self._source.region,
                "read_only": self._source.is_read_only,
                "poll_s": POLL_S[self._source.is_read_only],
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "runs": self._runs.newest(packages),
                "packages": [package.as_json(endpoint["config"]) for package in packages],
                "endpoint": endpoint,
                "dead_letters": dead_letters(self._source),
                "alarms": alarms(self._source),
            }

    def act(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request of the page: `{"action": ..., ...}`.

        Raises:
            BadInputError: the action or one of its fields is wrong, or not allowed here.
            local.errors.StepFailedError: the API answered with an error.
        """
        actions = {
            "log": self._log,
            "model": self._model,
            "approve": self._decide,
            "reject": self._decide,
            "recommend": self._recommend,
        }
        action = request.get("action")
        if not isinstance(action, str) or action not in actions:
            raise BadInputError(f"action: expected one of {', '.join(actions)}")
        return actions[action](request)

    def _log(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run_id, step = _run_id(request), _text(request, "step")
        return {"lines": step_log(self._source, self._runs, run_id, step)}

    def _model(self, request: Mapping[str, Any]) -> dict[str, Any]:
        run_id = _run_id(request)
        evaluation = evaluation_of(self._source, run_id)
        return {
            "run_id": run_id,
            "evaluation": evaluation,
            "served": served_values(evaluation),
            "curve": training_curve(self._source, self._runs.pipeline_steps(run_id)),
        }

    def _decide(self, request: Mapping[str, Any]) -> dict[str, Any]:
        action, arn = request["action"], _text(request, "package")
        decide(self._source, arn, action)
        return {"done": action, "package": arn}

    def _recommend(self, request: Mapping[str, Any]) -> dict[str, Any]:
        recent = request.get("recent_items", [])
        if not isinstance(recent, list) or not all(isinstance(item, str) for item in recent):
            raise BadInputError("recent_items: expected a list of item ids")
        served = next((p.run_id for p in self._serving()), None)
        return self._visitors.visit(served, _text(request, "user"), recent, k=10)

    def _serving(self) -> list[Any]:
        config = endpoint_state(self._source)["config"]
        packages = newest_packages(self._source)
        return [each for each in packages if config and each.endpoint_config == config]


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadInputError(f"{name}: expected a text that is not empty")
    return value.strip()


def _run_id(request: Mapping[str, Any]) -> str:
    value = _text(request, "run")
    if not re.fullmatch(contract.RUN_ID_PATTERN, value):
        raise BadInputError(f"run: {value!r} is no run id such as 20261123T020000Z")
    return value
