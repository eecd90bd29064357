"""Inputs of a resource that force its replacement: a table, and its measurement on the AWS provider."""
