"""Checkpoints of a training phase: written atomically; one that does not fit the training is not used."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ml.ncf.training.console import log

DIGEST_BYTES = hashlib.sha256().digest_size


class CheckpointError(ValueError):
    """The checkpoint cannot be resumed; the message names the file and the difference."""


@dataclass(frozen=True)
class CheckpointFolder:
    """Folder of the checkpoints of a job, one file per phase."""

    path: Path
    identity: Mapping[str, Any] = field(default_factory=dict)  # what all phases have in common


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint file of one phase: the SHA-256 of the content, then the content.

    torch.load does not notice changed bytes, hence the SHA-256.

    `identity` describes the training: settings, data, code, number of processes. A checkpoint whose identity
    differs is not resumed, since that would not give the result of the uninterrupted training.
    """

    path: Path
    identity: Mapping[str, Any]

    def save_or_warn(self, state: Mapping[str, Any]) -> None:
        """As `save`; a file that cannot be written costs the checkpoint, with a warning in the log.

        The training goes on: after an interruption it continues from the last file that was written.
        """
        try:
            self.save(state)
        except OSError as error:
            with suppress(OSError):  # the folder may not be writable at all
                self._partial.unlink(missing_ok=True)  # its room is needed by report and artifact
            log(f"warning: checkpoint {self.path}: cannot be written: {error}; the training goes on")

    @property
    def _partial(self) -> Path:
        return self.path.with_suffix(".partial")

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file atomically: after an interruption it holds the old state or the new one.

        Raises:
            OSError: the file cannot be written; the old one is unchanged.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save({"identity": dict(self.identity), "state": dict(state)}, content)
        with self._partial.open("wb") as stream:
            stream.write(hashlib.sha256(content.getbuffer()).digest())
            stream.write(content.getbuffer())
            stream.flush()
            os.fsync(stream.fileno())  # the content is stored before the name
        os.replace(self._partial, self.path)

    def load_or_warn(self) -> dict[str, Any] | None:
        """The saved state; None, with a warning in the log, if the checkpoint cannot be resumed.

        An interrupted job is started again by SageMaker and cannot repair its checkpoint: it trains anew.
        """
        try:
            return self.load()
        except CheckpointError as error:
            log(f"warning: {error}; this phase is trained from its start")
            return None

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is no file.

        Raises:
            CheckpointError: the file cannot be read, or belongs to another training.
        """
        if not self.path.exists():
            return None
        identity, state = self._read()
        for name in sorted(self.identity.keys() | identity.keys()):
            saved, current = identity.get(name), self.identity.get(name)
            if saved != current:
                raise CheckpointError(
                    f"checkpoint {self.path} belongs to another training: "
                    f"{name} is {saved!r} in the checkpoint and {current!r} in this training"
                )
        return state

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Identity and state in the file."""
        try:
            file = self.path.read_bytes()
            digest, content = file[:DIGEST_BYTES], file[DIGEST_BYTES:]
            if hashlib.sha256(content).digest() != digest:
                raise ValueError("the content does not have its SHA-256")
            document = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return document["identity"], document["state"]
        except (
            OSError,
            RuntimeError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
            pickle.UnpicklingError,
        ) as error:
            raise CheckpointError(f"checkpoint {self.path}: cannot be read: {error!r}") from error
