"""Runs a stage's Pulumi program and creates what it registers in the emulator."""
