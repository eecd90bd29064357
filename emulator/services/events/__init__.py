"""EventBridge in the emulator: matched events reach their targets, or a dead-letter queue."""
