"""API Gateway in the embedded cloud: the front door of HTTP APIs."""
