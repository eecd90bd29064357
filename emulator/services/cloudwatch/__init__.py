"""CloudWatch: metrics, and evaluation and actions of alarms."""
