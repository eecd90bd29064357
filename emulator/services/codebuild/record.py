"""Record of a build, as in BatchGetBuilds, and its state change event."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emulator.wire import ServiceError

DEFAULT_TIMEOUT_MINUTES = 60
DEFAULT_QUEUED_MINUTES = 480
SOURCE_TYPES = ("S3", "NO_SOURCE")
PLAINTEXT = "PLAINTEXT"  # type of an environment variable
# Fields of CreateProject that moto does not store.
NOT_STORED_BY_MOTO = (
    "encryptionKey",
    "concurrentBuildLimit",
    "secondarySources",
    "secondaryArtifacts",
    "fileSystemLocations",
)


def new_record(
    project: Mapping[str, Any], arguments: Mapping[str, Any], region: str, account_id: str, number: int
) -> dict[str, Any]:
    """Record of a new build.

    Raises:
        ServiceError: InvalidInputException, the project or the request uses a feature that is not emulated.
    """
    build_uuid, now = str(uuid.uuid4()), time.time()
    build_id = f"{project['name']}:{build_uuid}"
    artifacts = arguments.get("artifactsOverride") or project["artifacts"]
    if artifacts["type"] != "NO_ARTIFACTS":
        raise invalid(f"artifacts.type {artifacts['type']}: the emulator supports NO_ARTIFACTS only")
    submitted = {"phaseStatus": "SUCCEEDED", "startTime": now, "endTime": now, "durationInSeconds": 0}

    def setting(name: str) -> Any:
        return arguments.get(f"{name}Override", project[name])

    record = {
        "id": build_id,
        "arn": f"arn:aws:codebuild:{region}:{account_id}:build/{build_id}",
        "buildNumber": number,
        "startTime": now,
        "currentPhase": "QUEUED",
        "buildStatus": "IN_PROGRESS",
        "projectName": project["name"],
        "phases": [{"phaseType": "SUBMITTED", **submitted}, {"phaseType": "QUEUED", "startTime": now}],
        "source": _source(project, arguments),
        "artifacts": {"location": ""},
        "cache": project["cache"],
        "environment": _environment(project, arguments),
        "serviceRole": setting("serviceRole"),
        "logs": _logs(project, arguments, build_uuid, region, account_id),
        "timeoutInMinutes": setting("timeoutInMinutes"),
        "queuedTimeoutInMinutes": setting("queuedTimeoutInMinutes"),
        "buildComplete": False,
        "initiator": "emulator",
        "encryptionKey": setting("encryptionKey"),
    }
    if version := arguments.get("sourceVersion", project.get("sourceVersion")):
        record["sourceVersion"] = version
    return record


def set_defaults(project: dict[str, Any]) -> None:
    """Set CodeBuild's default timeouts; moto stores 0."""
    project["timeoutInMinutes"] = project.get("timeoutInMinutes") or DEFAULT_TIMEOUT_MINUTES
    project["queuedTimeoutInMinutes"] = project.get("queuedTimeoutInMinutes") or DEFAULT_QUEUED_MINUTES


def _source(project: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    source = dict(project["source"])
    for name in ("type", "location"):
        if override := arguments.get(f"source{name.capitalize()}Override"):
            source[name] = override
    if override := arguments.get("buildspecOverride"):
        source["buildspec"] = override
    if source["type"] not in SOURCE_TYPES:
        raise invalid(f"source.type {source['type']}: the emulator supports {' and '.join(SOURCE_TYPES)}")
    return source


def _environment(project: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    environment = dict(project["environment"])
    for name in ("computeType", "image", "privilegedMode"):
        if (override := arguments.get(f"{name}Override")) is not None:
            environment[name] = override
    overrides = arguments.get("environmentVariablesOverride", [])
    variables = [*environment.get("environmentVariables", []), *overrides]
    for variable in variables:
        name, kind = variable["name"], variable.get("type", PLAINTEXT)
        if kind != PLAINTEXT:
            raise invalid(f"environmentVariables {name}: the emulator supports {PLAINTEXT}, not {kind}")
    last_by_name = {variable["name"]: variable for variable in variables}  # the last one has precedence
    environment["environmentVariables"] = list(last_by_name.values())
    return environment


def _logs(
    project: Mapping[str, Any], arguments: Mapping[str, Any], build_uuid: str, region: str, account_id: str
) -> dict[str, Any]:
    config = arguments.get("logsConfigOverride") or project.get("logsConfig") or {}
    cloudwatch = config.get("cloudWatchLogs") or {"status": "ENABLED"}
    group = cloudwatch.get("groupName") or f"/aws/codebuild/{project['name']}"
    prefix = cloudwatch.get("streamName")
    stream = f"{prefix}/{build_uuid}" if prefix else build_uuid
    return {
        "groupName": group,
        "streamName": stream,
        "cloudWatchLogs": cloudwatch,
        "cloudWatchLogsArn": f"arn:aws:logs:{region}:{account_id}:log-group:{group}:log-stream:{stream}",
        "s3Logs": config.get("s3Logs") or {"status": "DISABLED", "encryptionDisabled": False},
    }


def state_change(record: Mapping[str, Any]) -> dict[str, Any]:
    """Detail of a "CodeBuild Build State Change" event."""
    started = datetime.fromtimestamp(record["startTime"], UTC).strftime("%b %-d, %Y %-I:%M:%S %p")
    return {
        "build-status": record["buildStatus"],
        "project-name": record["projectName"],
        "build-id": record["arn"],
        "additional-information": {
            "build-complete": record["buildComplete"],
            "build-number": record["buildNumber"],
            "initiator": record["initiator"],
            "build-start-time": started,
            "timeout-in-minutes": record["timeoutInMinutes"],
            "source": record["source"],
            "source-version": record.get("sourceVersion", ""),
            "logs": record["logs"],
            "phases": [dict(phase) for phase in record["phases"]],
        },
        "current-phase": record["currentPhase"],
        "current-phase-context": "[]",
        "version": "1",
    }


def canonical_json(arguments: Mapping[str, Any]) -> str:
    """JSON of StartBuild's parameters with sorted keys, to compare requests with the same token."""
    return json.dumps(arguments, sort_keys=True)


def invalid(message: str) -> ServiceError:
    """Error for parameters that are not valid."""
    return ServiceError("InvalidInputException", message)
