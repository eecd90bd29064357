"""Creator of CodeBuild projects."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, tag_list
from local.deploy.inputs import Inputs

MAX_NAME = 150  # CodeBuild API, CreateProject


def project(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    codebuild = context.client("codebuild")
    sent = {
        "name": context.name_of(inputs, name, max_length=MAX_NAME),
        **inputs.pick(
            {
                "description": "description",
                "serviceRole": "serviceRole",
                "encryptionKey": "encryptionKey",
                "buildTimeout": "timeoutInMinutes",
                "queuedTimeout": "queuedTimeoutInMinutes",
            }
        ),
        "source": inputs.required_block("source").pick(
            {"type": "type", "location": "location", "buildspec": "buildspec"}
        ),
        "artifacts": inputs.required_block("artifacts").pick({"type": "type"}),
        "environment": _environment(inputs.required_block("environment")),
        "tags": tag_list(inputs, "key", "value"),
    }
    if logs := inputs.block("logsConfig"):
        sent["logsConfig"] = {
            "cloudWatchLogs": logs.required_block("cloudwatchLogs").pick(
                {"status": "status", "groupName": "groupName"}
            )
        }
    codebuild.create_project(**sent)
    (read,) = codebuild.batch_get_projects(names=[sent["name"]])["projects"]
    inputs.compare(sent, read)
    return read["arn"], {"arn": read["arn"], "name": sent["name"]}


def _environment(inputs: Inputs) -> dict[str, Any]:
    return {
        **inputs.pick(
            {
                "type": "type",
                "image": "image",
                "computeType": "computeType",
                "imagePullCredentialsType": "imagePullCredentialsType",
                "privilegedMode": "privilegedMode",
            }
        ),
        "environmentVariables": [
            variable.pick({"name": "name", "value": "value", "type": "type"})
            for variable in inputs.blocks("environmentVariables")
        ],
    }


CREATORS: dict[str, Creator] = {"aws:codebuild/project:Project": project}
