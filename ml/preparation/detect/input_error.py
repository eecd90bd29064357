"""Refusal of an input or argument; apart from :mod:`ml.preparation.errors`, which imports Spark."""


class InputError(Exception):
    """Unusable input or argument; the message names it and the fix."""
