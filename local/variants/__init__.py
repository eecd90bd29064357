"""Comparison of two models that answered the API's requests at the same time (`python -m local variants`)."""
