"""EventBridge in the embedded cloud: matched events reach their targets, or a dead-letter queue."""
