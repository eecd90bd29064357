"""Tests of the detection of an input."""
