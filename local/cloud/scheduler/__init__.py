"""EventBridge Scheduler in the embedded cloud: schedules that fire by this machine's clock."""
