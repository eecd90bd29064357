"""Settings and shared facts: one definition each, for the stage config, the pipeline and the jobs."""
