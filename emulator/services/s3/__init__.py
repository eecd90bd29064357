"""S3 in the emulator: conditional writes and bucket notifications."""
