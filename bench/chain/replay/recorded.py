"""The recording that travels in the code bundle, and the clock of a replayed step. Standard library only."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ARCHIVE = "recording.zip"
INDEX = "index.json"
RUN_ID = "RUN_ID"  # in recorded text: the id of the run


class Recording:
    """A recording: index and files.

    Attributes:
        index: `scale`, `install_s`, `compile_s`, `endpoint_s`; by the SHA-256 of the training split,
            `models`, each with `name`, `seconds` and `log`; and by the names of candidate and champion,
            `evaluations`, each with `seconds` and `log`. A log is a list of seconds since the start and line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with zipfile.ZipFile(path) as archive:
            self.index: dict[str, Any] = json.loads(archive.read(INDEX))

    def model(self, train_sha256: str) -> Mapping[str, Any]:
        """The recorded training on a training split.

        Raises:
            ValueError: none was recorded.
        """
        found: Mapping[str, Any] | None = self.index["models"].get(train_sha256)
        if found is None:
            raise ValueError(f"no training on the split with SHA-256 {train_sha256} was recorded")
        return found

    def evaluation(self, candidate: str, champion: str | None) -> tuple[str, Mapping[str, Any]]:
        """Folder of the files, and the record, of the evaluation of a candidate beside a champion.

        Raises:
            ValueError: none was recorded.
        """
        name = f"{candidate}-{champion}"
        if name not in self.index["evaluations"]:
            raise ValueError(f"no evaluation of {candidate} beside the champion {champion} was recorded")
        return f"evaluations/{name}/", self.index["evaluations"][name]

    def files(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Names below a folder, and contents, in the order in which they were added."""
        with zipfile.ZipFile(self._path) as archive:
            for name in archive.namelist():
                if name.startswith(folder):
                    yield name.removeprefix(folder), archive.read(name)


class StepClock:
    """Clock of a replayed step: recorded seconds, scaled."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._start = time.monotonic()

    def wait_until(self, seconds: float) -> None:
        """Wait until so many recorded seconds have passed since the start."""
        time.sleep(max(0.0, self._start + self._scale * seconds - time.monotonic()))


def own_recording() -> Recording:
    """The recording beside this file."""
    return Recording(FOLDER / ARCHIVE)
