"""EMR in the embedded cloud: job flows whose Spark steps run as child processes."""
