"""Settings of the quality gate: floors, and how a candidate is compared with the champion."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from ml.settings.fields import REQUIRED, SettingError, Settings, read, setting
from ml.settings.metrics import GATED_METRICS

G = TypeVar("G", bound="GateSettings")

CONFIDENCE = 0.9  # docs/adr/0036: the error rates that were measured


def _thresholds(defaults: Mapping[str, Any], help: str) -> Any:  # noqa: A002 (argparse's word)
    keys = {key: REQUIRED if default is None else default for key, default in defaults.items()}
    return setting(keys=keys, at_least=0, at_most=1, help=help)


@dataclass(frozen=True)
class GateSettings(Settings):
    """Thresholds of the quality gate.

    A candidate is adopted if each gated metric is at least its floor and not worse than the champion's beyond
    noise: the upper confidence bound of the paired difference is at least minus the tolerance. Defaults of
    floors and tolerances (`ml.settings.metrics`) are filled in by `read` only: the constructor requires a
    value for every gated metric.
    """

    floors: Mapping[str, float] = _thresholds(
        {metric.key: metric.default_floor for metric in GATED_METRICS}, "lowest metrics of a new model"
    )
    tolerance: Mapping[str, float] = _thresholds(
        {metric.key: metric.default_tolerance for metric in GATED_METRICS},
        "differences from the champion's metrics that do not matter, in addition to the noise",
    )
    gate_confidence: float = setting(
        CONFIDENCE, more_than=0.5, less_than=1, help="confidence that a worse model is worse, to reject it"
    )

    @classmethod
    def from_json(cls: type[G], text: str) -> G:
        """The settings of a JSON object with one key per setting.

        Raises:
            SettingError: not JSON, a key missing or unknown, or a value that the setting does not allow.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingError("the value", f"is not JSON ({error})") from None
        return read(cls, document)

    def to_json(self) -> str:
        """The settings as `from_json` reads them; the same text for the same settings."""
        return json.dumps(asdict(self), sort_keys=True)
