"""Training and processing jobs, run as child processes."""
