"""Endpoints: model servers as child processes, blue/green deployments and invocations."""
