"""Models and the model artifact. Serving imports this package, so it needs numpy and torch only."""
