"""Training: plan, loop, optimizer, checkpoints, distributed processes."""
