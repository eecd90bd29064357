"""What the preparation refuses."""

from __future__ import annotations


class InputError(Exception):
    """The input or an argument cannot be used; the message says which, and what to do about it."""
