"""EMR in the emulator: job flows whose Spark steps run as child processes."""
