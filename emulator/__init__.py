"""Emulator of the AWS services that the platform uses: moto's server and providers that run things."""

# moto and botocore read the user's AWS settings when they are imported: this module removes them first.
import emulator.environment  # noqa: F401
