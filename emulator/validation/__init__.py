"""Validation of requests against the services' models, their quotas and the emulator's features."""
