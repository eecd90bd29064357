"""CloudWatch Logs: classes of log groups."""
