"""Creator of EMR security configurations; clusters are launched by schedulers."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator
from local.deploy.inputs import Inputs

MAX_NAME = 10_280  # EMR API, CreateSecurityConfiguration


def security_configuration(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    emr = context.client("emr")
    sent = {
        "Name": context.name_of(inputs, name, max_length=MAX_NAME),
        "SecurityConfiguration": inputs["configuration"],
    }
    created = emr.create_security_configuration(**sent)
    inputs.compare(sent, emr.describe_security_configuration(Name=sent["Name"]))
    return sent["Name"], {"name": sent["Name"], "creationDate": created["CreationDateTime"].isoformat()}


CREATORS: dict[str, Creator] = {
    "aws:emr/securityConfiguration:SecurityConfiguration": security_configuration,
}
