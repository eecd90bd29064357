"""Training data: interactions, a prepared run, samplers of unseen items."""
