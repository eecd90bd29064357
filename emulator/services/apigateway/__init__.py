"""API Gateway: HTTP APIs with Lambda proxy integrations."""
