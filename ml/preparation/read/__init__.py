"""First step: source files of any supported format to one DataFrame of text; the previous run."""
