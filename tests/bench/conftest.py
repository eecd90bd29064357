"""Tests of other libraries are collected with PEERS_PYTHON, the interpreter of `make environment-peers`."""

from __future__ import annotations

import os

if "PEERS_PYTHON" not in os.environ:
    collect_ignore = ["test_peer_models.py"]
