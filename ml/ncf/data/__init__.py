"""Data of a training: interactions, a prepared run, samplers of unseen items."""
