"""Which inputs of a resource force its replacement: a table, and its measurement on the AWS provider."""
