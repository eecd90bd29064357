"""Checkpoints of a training phase: written atomically, and refused if they belong to another training."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """The checkpoint cannot be resumed; the message names the file and the difference."""


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint file of one phase.

    `identity` describes the training: settings, data, number of processes. A checkpoint whose identity
    differs is refused, since resuming it would not give the result of the uninterrupted training.
    """

    path: Path
    identity: dict[str, Any]

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file atomically: after an interruption it holds the old state or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"identity": self.identity, "state": state}, partial)
        os.replace(partial, self.path)

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is no file.

        Raises:
            CheckpointError: the file cannot be read, or belongs to another training.
        """
        if not self.path.exists():
            return None
        try:
            document = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, state = document["identity"], document["state"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"checkpoint {self.path}: cannot be read: {error!r}") from error
        for name in sorted(self.identity.keys() | identity.keys()):
            saved, current = identity.get(name), self.identity.get(name)
            if saved != current:
                raise CheckpointError(
                    f"checkpoint {self.path} belongs to another training: "
                    f"{name} is {saved!r} in the checkpoint and {current!r} in this training"
                )
        return state
