"""EMR in the emulator: clusters whose Spark steps run as child processes."""
