"""Spark job that prepares raw interactions for training: one run folder with train, validation and test."""
