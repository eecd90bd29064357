"""Third step: deduplicate, filter to the k-core and assign train, validation and test."""
