"""Recorded compilation of the pipeline: takes its recorded time, without the SageMaker SDK."""

from __future__ import annotations

import json
from typing import Any

from bench.chain.replay.recorded import FOLDER, StepClock, own_recording

DEFINITION = "definition.json"  # in the folder of the recording


def compile_definition(stage: Any, session: Any) -> dict[str, Any]:
    """The stage's definition, as the SDK compiled it."""
    del stage, session
    recording = own_recording()
    StepClock(recording.index["scale"]).wait_until(recording.index["compile_s"])
    return dict(json.loads((FOLDER / DEFINITION).read_text(encoding="utf-8")))
