"""Second step: typed events, and a quarantine for the rows that cannot be used."""
