"""Load Lambda functions from their folders, with given environment variables; read recorded events."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LAMBDAS = Path(__file__).parents[2] / "lambdas"
EVENTS = Path(__file__).parents[1] / "events"


@dataclass(frozen=True)
class FakeContext:
    """The attributes of a Lambda context that Powertools reads."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:ap-northeast-2:123456789012:function:function"
    aws_request_id: str = "f6ac2aaa-9f0d-4f2c-8a0b-6f1a3c7e2d10"


def event(name: str) -> dict[str, Any]:
    """New copy of a recorded event."""
    return json.loads((EVENTS / f"{name}.json").read_text())


def load(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str] | None = None
) -> ModuleType:
    """Import a module of ``lambdas/<name>/`` with that folder at the front of the path.

    Functions share module names, so their modules are removed from ``sys.modules`` again.
    """
    folder = LAMBDAS / name
    for variable, value in (environment or {}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.syspath_prepend(str(folder))
    siblings = [path.stem for path in folder.glob("*.py")]
    for sibling in siblings:
        monkeypatch.delitem(sys.modules, sibling, raising=False)
    loaded = importlib.import_module(module)
    for sibling in siblings:
        sys.modules.pop(sibling, None)
    return loaded
