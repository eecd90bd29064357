"""Write: the run folder with its data files, quality report, manifest and ``_SUCCESS``."""
