"""Clean: typed and validated events, and a quarantine of the rows that cannot be used."""
