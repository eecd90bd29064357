"""KMS: fields of key rotation."""
