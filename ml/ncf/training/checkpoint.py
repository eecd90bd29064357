"""Checkpoints of a training stage: written whole or not at all, and refused by any other training."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A checkpoint that cannot be resumed; the message names the file and what differs."""


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint file of one stage of one training.

    `identity` says which training: settings, data, number of processes. One that differs in anything could
    not end as the unbroken run would have, so it is refused.
    """

    path: Path
    identity: dict[str, Any]

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file by this state, atomically: a kill leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"identity": self.identity, "state": state}, partial)
        os.replace(partial, self.path)

    def load(self) -> dict[str, Any] | None:
        """The saved state; None when there is none.

        Raises:
            CheckpointError: the file cannot be read, or is of another training.
        """
        if not self.path.exists():
            return None
        try:
            document = torch.load(self.path, map_location="cpu", weights_only=True)
            identity, state = document["identity"], document["state"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"checkpoint {self.path}: cannot be read: {error!r}") from error
        for name in sorted(self.identity.keys() | identity.keys()):
            theirs, ours = identity.get(name), self.identity.get(name)
            if theirs != ours:
                raise CheckpointError(
                    f"checkpoint {self.path} is of another configuration: "
                    f"{name} is {theirs!r} there, {ours!r} here"
                )
        return state
