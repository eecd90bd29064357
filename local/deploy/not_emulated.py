"""What the program asks for and the emulator does not do: declared, so that nothing is silent.

`emulator/README.md` lists this table; a test keeps the two equal, and another finds lines that
the stages no longer need.
"""

from __future__ import annotations

_DESTROY = "It matters when a stack is destroyed; the emulator is thrown away instead."
_RULE_TEXT = "Kept for address ranges only, not for rules that name a group or a prefix list."

NOT_EMULATED: dict[tuple[str, str], str] = {
    ("aws:appautoscaling/target:Target", "tags"): "Scalable targets are kept without tags.",
    ("aws:budgets/budget:Budget", "tags"): "Budgets are kept without tags.",
    ("aws:ec2/securityGroup:SecurityGroup", "revokeRulesOnDelete"): _DESTROY,
    ("aws:kms/key:Key", "deletionWindowInDays"): _DESTROY,
    ("aws:s3/bucket:Bucket", "forceDestroy"): _DESTROY,
    ("aws:sagemaker/model:Model", "enableNetworkIsolation"): (
        "A model's container is a process of this machine, with its network."
    ),
    ("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "description"): _RULE_TEXT,
    ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "description"): _RULE_TEXT,
}
"""(resource type, input path with `[]` for the items of a list) to the reason."""


def as_markdown() -> str:
    """The table as the documentation shows it."""
    rows = [f"| `{type_}` | `{path}` | {reason} |" for (type_, path), reason in sorted(NOT_EMULATED.items())]
    return "\n".join(["| resource type | input | what happens |", "| --- | --- | --- |", *rows])
