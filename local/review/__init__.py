"""Offline review of a change: what `pulumi up` of a stage would do, compared with another commit."""
