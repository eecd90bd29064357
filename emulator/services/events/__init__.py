"""EventBridge: rules, targets, retries, dead-letter queues, and events of S3."""
