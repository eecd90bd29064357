"""Pipelines: definitions, expressions, and executions that run their steps."""
