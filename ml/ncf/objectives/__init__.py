"""Training objectives: how an epoch is split into batches, and the loss of a batch."""
