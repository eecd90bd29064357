"""Section ``ncf:spark.job`` of a stage's config, derived from the settings of the preparation job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml.settings.fields import SettingError, Settings, check_keys, read, settings_of
from ml.settings.flags import as_flags
from ml.settings.preparation import STEPS, TIME_CUT, cut_days


@dataclass(frozen=True)
class TimeCutSettings(Settings):
    """Split by time in a stage's config: the last days are test, those before them validation."""

    test_days: int = cut_days(1, "last days: the test split")
    validation_days: int = cut_days(1, "days before those: the validation split")


_TIME_CUT_KEYS = {"split", *(each.name for each in settings_of(TimeCutSettings))}
_PER_RUN_KEYS = {"format", "layout"}  # depend on the input of a run, not on the stage
STAGE_JOB_KEYS = (
    *(
        each.name
        for group in STEPS
        for each in settings_of(group)
        if each.name not in _TIME_CUT_KEYS | _PER_RUN_KEYS
    ),
    "time_cut",
)


@dataclass(frozen=True)
class StageJob:
    """Section ``ncf:spark.job`` of a stage's config: the job's settings that are the same for all its runs.

    A key that is null or absent leaves the setting at the job's default. Without `time_cut`, each
    user's last interactions are held out.
    """

    values: Mapping[str, Any]  # by setting; settings with the job's default are absent

    @classmethod
    def read(cls, document: Any) -> "StageJob":
        """The settings of the section.

        Raises:
            SettingError: a key is unknown, or a value is not allowed.
        """
        check_keys(document, STAGE_JOB_KEYS)
        values = {key: value for key, value in document.items() if value is not None}
        if "time_cut" in values:
            try:
                cut = read(TimeCutSettings, values.pop("time_cut"))
            except SettingError as error:
                raise error.below("time_cut") from None
            values |= {"split": TIME_CUT, "test_days": cut.test_days, "validation_days": cut.validation_days}
        if values.get("no_time") and values.get("split") == TIME_CUT:
            raise SettingError("no_time", "and {0} exclude each other", "time_cut")
        for group in STEPS:
            group(**{each.name: values[each.name] for each in settings_of(group) if each.name in values})
        return cls(values)

    def arguments(self) -> list[str]:
        """The flags that the stage passes to the job."""
        return [text for group in STEPS for text in as_flags(group, self.values)]
