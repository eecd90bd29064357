"""Inputs of resources that have no effect in the emulator. All other inputs without effect are errors.

`emulator/README.md` shows the table. Tests check that both are equal and that every row is in use.
"""

from __future__ import annotations

_DESTROY = "Only used when a stack is destroyed; the emulator's resources do not outlive it."

NOT_EMULATED: dict[tuple[str, str], str] = {
    ("aws:ec2/securityGroup:SecurityGroup", "revokeRulesOnDelete"): _DESTROY,
    ("aws:kms/key:Key", "deletionWindowInDays"): _DESTROY,
    ("aws:s3/bucket:Bucket", "forceDestroy"): _DESTROY,
    ("aws:sagemaker/model:Model", "enableNetworkIsolation"): (
        "A model's container is a process of this machine, with its network."
    ),
}
"""(resource type, input path with `[]` for list items) to the reason."""


def as_markdown() -> str:
    """The table in Markdown, for the documentation."""
    rows = [f"| `{type_}` | `{path}` | {reason} |" for (type_, path), reason in sorted(NOT_EMULATED.items())]
    return "\n".join(["| resource type | input | reason |", "| --- | --- | --- |", *rows])
