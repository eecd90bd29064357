"""Web console of a stage: runs, models, rollout, dead letters and recommendations on one page."""
