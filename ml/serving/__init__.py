"""Code that runs in the inference container."""
