"""EventBridge: rules, targets, retries and dead-letter queues; S3's events."""
