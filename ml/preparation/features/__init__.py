"""Features of users and items: files of the run and documents of the feature store."""
