"""Snapshots of the stages for tests; each stage is previewed once per process."""

from __future__ import annotations

import functools

from local.preview import ROOT
from local.review.snapshot import Snapshot, take


@functools.cache
def snapshot(stage: str) -> Snapshot:
    """Snapshot of a stage; do not change it."""
    return take(stage, ROOT, b"key of the tests")
