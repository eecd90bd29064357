"""Read: raw interactions from source files of any supported format, and the previous run."""
