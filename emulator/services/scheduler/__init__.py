"""EventBridge Scheduler in the emulator: schedules that fire by this machine's clock."""
