"""Inputs of a build: role, source, buildspec and environment."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.authorization import roles
from emulator.authorization.access import AccessDeniedError
from emulator.authorization.needs import Need
from emulator.authorization.service_needs import log_stream_arn
from emulator.environment import PIP_ENVIRONMENT, PYTHON_PATH
from emulator.region import Region
from emulator.services.codebuild.buildspec import Buildspec, BuildspecError, parse, source_location
from emulator.services.codebuild.folders import BuildFolders
from emulator.wire import ServiceError

SESSION = "AWSCodeBuild"


class PhaseError(Exception):
    """A phase failed; ``code`` is the statusCode of its context."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BuildInputs:
    """Reads the inputs of one build."""

    def __init__(self, region: Region, record: dict[str, Any], folders: BuildFolders) -> None:
        self.region = region
        self.record = record
        self.folders = folders

    def check_role(self) -> None:
        """Check that the service role trusts CodeBuild.

        Raises:
            PhaseError: ACCESS_DENIED.
        """
        role = self.record["serviceRole"]
        try:
            trusted = roles.trusts(
                self.region.backend("iam"), role, "codebuild.amazonaws.com", self.record["arn"]
            )
        except ServiceError:
            trusted = False
        if not trusted:
            raise PhaseError(
                "ACCESS_DENIED", f"CodeBuild is not authorized to perform: sts:AssumeRole on {role}"
            )

    def check_log(self, group: str, stream: str) -> None:
        """Check that the service role may write the build's log.

        Raises:
            PhaseError: ACCESS_DENIED.
        """
        place = self.region.place()
        arn = log_stream_arn(place, group, stream)
        needs = [Need("logs:CreateLogStream", arn), Need("logs:PutLogEvents", arn)]
        if group not in self.region.backend("logs").groups:
            needs.insert(0, Need("logs:CreateLogGroup", log_stream_arn(place, group)))
        for need in needs:
            try:
                self.region.host.access.require(self.record["serviceRole"], need, self.region.name, SESSION)
            except AccessDeniedError as error:
                message = f"Service role {self.record['serviceRole']} does not allow to write logs: {error}"
                raise PhaseError("ACCESS_DENIED", message) from error

    def _s3(self) -> Any:
        return self.region.role_client("s3", self.record["serviceRole"], SESSION)

    def download_source(self) -> Path:
        """Download and unpack the source; sets the record's resolvedSourceVersion.

        Raises:
            PhaseError: CLIENT_ERROR, the object does not exist or is not a zip file.
        """
        source = self.folders.source
        described = self.record["source"]
        if described["type"] == "NO_SOURCE":
            return source
        version = {"VersionId": self.record["sourceVersion"]} if self.record.get("sourceVersion") else {}
        try:
            bucket, key = source_location(described["location"])
            found = self._s3().get_object(Bucket=bucket, Key=key, **version)
            _unzip(found["Body"].read(), source)
        except (BuildspecError, ClientError, zipfile.BadZipFile) as error:
            raise PhaseError("CLIENT_ERROR", f"{error} for primary source and source version") from error
        self.record["resolvedSourceVersion"] = found.get("VersionId") or found["ETag"].strip('"')
        return source

    def read_buildspec(self, source: Path) -> Buildspec:
        """Parse the buildspec of the request or the project.

        Raises:
            PhaseError: YAML_FILE_ERROR.
        """
        try:
            return parse(self._buildspec_text(source))
        except BuildspecError as error:
            raise PhaseError("YAML_FILE_ERROR", str(error)) from error

    def _buildspec_text(self, source: Path) -> str:
        """Text of the buildspec: inline YAML, an S3 object, or a file of the source."""
        text = self.record["source"].get("buildspec") or "buildspec.yml"
        if text.startswith(("arn:", "s3://")):
            bucket, key = source_location(text)
            try:
                found = self._s3().get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                raise BuildspecError(f"{text}: {error}") from error
            return str(found["Body"].read().decode())
        if "\n" in text or ":" in text:
            return text
        try:
            return (source / text).read_text(encoding="utf-8")
        except OSError as error:
            raise BuildspecError(f"{text}: no such file in the source") from error

    def environment(self, spec: Buildspec, source: Path) -> dict[str, str]:
        """Environment variables; CodeBuild's override the request's, the project's and the buildspec's."""
        values = dict(spec.variables)
        for variable in self.record["environment"].get("environmentVariables", []):
            values[variable["name"]] = str(variable["value"])
        record = self.record
        codebuild = {
            "AWS_REGION": self.region.name,
            "AWS_DEFAULT_REGION": self.region.name,
            "CODEBUILD_BUILD_ARN": record["arn"],
            "CODEBUILD_BUILD_ID": record["id"],
            "CODEBUILD_BUILD_NUMBER": str(record["buildNumber"]),
            "CODEBUILD_BUILD_IMAGE": record["environment"]["image"],
            "CODEBUILD_INITIATOR": record["initiator"],
            "CODEBUILD_KMS_KEY_ID": record["encryptionKey"],
            "CODEBUILD_LOG_PATH": record["logs"]["streamName"],
            "CODEBUILD_PROJECT_ARN": self.region.arn("codebuild", f"project/{record['projectName']}"),
            "CODEBUILD_SRC_DIR": self.folders.seen(source),
            "CODEBUILD_START_TIME": str(int(record["startTime"] * 1000)),
            "CODEBUILD_SOURCE_REPO_URL": record["source"].get("location", ""),
            "CODEBUILD_SOURCE_VERSION": record.get("sourceVersion", ""),
            "CODEBUILD_RESOLVED_SOURCE_VERSION": record.get("resolvedSourceVersion", ""),
        }
        return {
            **self.region.machine_env(),
            **PIP_ENVIRONMENT,
            "PATH": PYTHON_PATH,
            **self.region.container_env(record["serviceRole"], SESSION),
            **values,
            **codebuild,
        }


def _unzip(content: bytes, folder: Path) -> None:
    """Unpack with the file modes of the archive, so that scripts are executable."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            path = archive.extract(member, folder)
            if mode := (member.external_attr >> 16) & 0o777:
                os.chmod(path, mode | 0o600)
