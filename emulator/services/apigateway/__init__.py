"""API Gateway in the emulator: the front door of HTTP APIs."""
