"""Detect: how the files of an input are written, from their first bytes and before Spark starts."""
