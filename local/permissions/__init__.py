"""Grants of a stage's roles, and what needs them."""
