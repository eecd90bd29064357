"""The emulator's providers, one package per AWS service."""
