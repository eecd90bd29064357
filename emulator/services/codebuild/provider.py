"""CodeBuild provider: runs builds. moto stores projects and builds and does not run them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from moto.codebuild import responses as codebuild_responses

from emulator import moto_state
from emulator.host import Host
from emulator.moto_patches import MotoPatches
from emulator.provider import EmitEvent, Forward, Provider
from emulator.region import Region
from emulator.services.codebuild.build import Build
from emulator.services.codebuild.record import (
    NOT_STORED_BY_MOTO,
    canonical_json,
    invalid,
    new_record,
    set_defaults,
    state_change,
)
from emulator.wire import Operation, Request, Response, ServiceError

TARGET = "CodeBuild_20161006"
TOKEN_LIFE_S = 300  # API reference, StartBuild: idempotencyToken is valid for five minutes
MAX_CONCURRENT_BUILDS = 2  # further builds are QUEUED
# Supported overrides of StartBuild.
OVERRIDES = {
    "sourceVersion",
    "buildspecOverride",
    "environmentVariablesOverride",
    "sourceTypeOverride",
    "sourceLocationOverride",
    "timeoutInMinutesOverride",
    "queuedTimeoutInMinutesOverride",
    "computeTypeOverride",
    "imageOverride",
    "serviceRoleOverride",
    "encryptionKeyOverride",
    "logsConfigOverride",
    "artifactsOverride",
    "privilegedModeOverride",
}
log = logging.getLogger("emulator.services.codebuild.provider")


class CodeBuildProvider(Provider):
    """Runs builds as child processes, from a source bundle in S3."""

    def __init__(self, host: Host, forward: Forward, emit: EmitEvent) -> None:
        self._host = host
        self._forward = forward
        self._emit = emit
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(MAX_CONCURRENT_BUILDS, thread_name_prefix="codebuild")
        self._builds: dict[str, Build] = {}
        self._tokens: dict[tuple[str, str, str], tuple[float, str, dict[str, Any]]] = {}
        self._patches = MotoPatches()
        # moto wants a location of every source.
        self._patches.replace(codebuild_responses, "_validate_required_params_source", _make_check_source)

    def operations(self) -> dict[str, Operation]:
        """Operations on projects and builds."""
        handlers: dict[str, Operation] = {
            "CreateProject": self._create_project,
            "UpdateProject": self._update_project,
            "DeleteProject": self._delete_project,
            "StartBuild": self._start_build,
            "StopBuild": self._stop_build,
            "BatchGetBuilds": self._batch_get_builds,
            "ListBuilds": self._list_builds,
            "ListBuildsForProject": self._list_builds_for_project,
        }
        return {f"{TARGET}.{name}": handler for name, handler in handlers.items()}

    def close(self) -> None:
        """Stop running builds, cancel queued ones and undo the patches of moto."""
        self._patches.undo()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for build in list(self._builds.values()):
            build.stop()

    # -- projects ---------------------------------------------------------------------------------
    def _create_project(self, request: Request) -> Response:
        response = self._forward(request)
        if response.status == 200:
            project = self._find_project(request.json["name"], request.region)
            project |= {name: request.json[name] for name in NOT_STORED_BY_MOTO if name in request.json}
            set_defaults(project)
            return Response(200, {"project": project}, {"Content-Type": "application/x-amz-json-1.1"})
        return response

    def _update_project(self, request: Request) -> dict[str, Any]:
        project = self._find_project(request.json["name"], request.region)
        project |= {name: value for name, value in request.json.items() if name != "name"}
        project["lastModifiedDate"] = time.time()
        set_defaults(project)
        return {"project": project}

    def _delete_project(self, request: Request) -> dict[str, Any]:
        """DeleteProject by name or ARN; a project that does not exist is no error."""
        backend = moto_state.backend("codebuild", request.region)
        backend.delete_project(_project_name(request.json["name"]))
        return {}

    def _find_project(self, name: str, region: str) -> dict[str, Any]:
        name = _project_name(name)
        projects = moto_state.backend("codebuild", region).codebuild_projects
        if name not in projects:
            arn = f"arn:aws:codebuild:{region}:{self._host.account_id}:project/{name}"
            raise ServiceError("ResourceNotFoundException", f"Project cannot be found: {arn}")
        return projects[name].project_metadata

    # -- builds -----------------------------------------------------------------------------------
    def _start_build(self, request: Request) -> dict[str, Any]:
        arguments = request.json
        project = self._find_project(arguments["projectName"], request.region)
        refused = set(arguments) - OVERRIDES - {"projectName", "idempotencyToken"}
        if refused:
            raise invalid(f"the emulator does not support {', '.join(sorted(refused))}")
        with self._lock:
            if (existing := self._build_of_token(arguments, request.region)) is not None:
                return {"build": existing}
            backend = moto_state.backend("codebuild", request.region)
            number = len(backend.build_history[project["name"]]) + 1
            record = new_record(project, arguments, request.region, self._host.account_id, number)
            backend.build_history[project["name"]].append(record["id"])
            backend.build_metadata_history[project["name"]].append(record)
            if token := arguments.get("idempotencyToken"):
                key = (request.region, project["name"], token)
                self._tokens[key] = (time.monotonic(), canonical_json(arguments), record)
            build = self._builds[record["id"]] = Build(Region(self._host, request.region), record)
        self._publish_state(record, request.region)
        self._pool.submit(self._run, build)
        return {"build": dict(record)}

    def _build_of_token(self, arguments: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """Record of the build that the same token started within `TOKEN_LIFE_S`."""
        key = (region, arguments["projectName"], arguments.get("idempotencyToken", ""))
        started, parameters, record = self._tokens.get(key, (0.0, "", {}))
        if not record or time.monotonic() - started > TOKEN_LIFE_S:
            return None
        if parameters != canonical_json(arguments):
            raise invalid("Idempotency token was used with other parameters")
        return record

    def _run(self, build: Build) -> None:
        try:
            build.run()
        except Exception:
            log.exception("%s", build.record["id"])
            build.record |= {"buildStatus": "FAULT", "buildComplete": True, "currentPhase": "COMPLETED"}
        finally:
            self._builds.pop(build.record["id"], None)
        self._publish_state(build.record, build.region.name)

    def _stop_build(self, request: Request) -> dict[str, Any]:
        build_id = request.json["id"]
        found = self._find([build_id], request.region)
        if not found:
            raise ServiceError("ResourceNotFoundException", f"Build {build_id} does not exist")
        if build := self._builds.get(build_id):
            build.stop()
        return {"build": found[0]}

    def _batch_get_builds(self, request: Request) -> dict[str, Any]:
        ids = request.json["ids"]
        found = self._find(ids, request.region)
        found_ids = {build["id"] for build in found}
        return {"builds": found, "buildsNotFound": [i for i in ids if i not in found_ids]}

    def _find(self, ids: list[str], region: str) -> list[dict[str, Any]]:
        history = moto_state.backend("codebuild", region).build_metadata_history
        records = [record for records in list(history.values()) for record in list(records)]
        return [dict(record) for record in records if record["id"] in ids or record["arn"] in ids]

    def _list_builds(self, request: Request) -> dict[str, Any]:
        history = moto_state.backend("codebuild", request.region).build_metadata_history
        records = [record for records in list(history.values()) for record in list(records)]
        records.sort(key=lambda record: record["startTime"])
        return {"ids": _sorted([record["id"] for record in records], request)}

    def _list_builds_for_project(self, request: Request) -> dict[str, Any]:
        name = request.json["projectName"]
        self._find_project(name, request.region)
        ids = moto_state.backend("codebuild", request.region).build_history[name]
        return {"ids": _sorted(list(ids), request)}

    def _publish_state(self, record: Mapping[str, Any], region: str) -> None:
        kind = "CodeBuild Build State Change"
        self._emit("aws.codebuild", kind, state_change(record), [record["arn"]], region)


def _project_name(name_or_arn: str) -> str:
    return name_or_arn.rpartition(":project/")[2] if name_or_arn.startswith("arn:") else name_or_arn


def _make_check_source(original: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def check_source(source: dict[str, Any]) -> None:
        if source["type"] != "NO_SOURCE":
            original(source)
        elif source.get("location"):
            raise invalid("Invalid project source: location must be empty when source type is NO_SOURCE")
        elif "\n" not in source.get("buildspec", "") and ":" not in source.get("buildspec", ""):
            raise invalid("Invalid project source: buildspec must be a YAML document without a source")

    return check_source


def _sorted(ids: list[str], request: Request) -> list[str]:
    """Ids in the requested order; the default is DESCENDING, newest first."""
    return ids if request.json.get("sortOrder") == "ASCENDING" else ids[::-1]
