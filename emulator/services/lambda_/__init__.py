"""Lambda: runs functions from their deployment packages."""
