"""Split: deduplicate events, filter them to the k-core and assign train, validation and test."""
