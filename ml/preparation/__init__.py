"""Spark preparation: raw interactions of a shop become one prepared run (train, validation, test)."""
