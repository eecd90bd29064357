"""Batch recommendations: a list for every user of a model, in S3 and in the feature store."""
