"""Fourth step: the run folder with its data files, quality report and manifest."""
