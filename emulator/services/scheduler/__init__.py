"""EventBridge Scheduler: invokes targets at the times of their schedules."""
