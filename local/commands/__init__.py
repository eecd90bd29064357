"""The commands of `python -m local`: a module for each group, each a Typer application."""
