"""Deletion of what a stage created at run time, which `pulumi destroy` does not know or cannot delete."""
