"""One spark-submit step, run as a child process."""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from emulator.environment import PYTHON_PATH
from emulator.processes import Child
from emulator.region import Region
from emulator.services.emr.s3_mirror import S3Mirror, is_s3, split_uri
from emulator.services.emr.spark_submit import (
    CLUSTER_OPTIONS,
    FILE_OPTIONS,
    driver_memory_mib,
    is_container_property,
    local_options,
    parse_submit,
)

# Settings of the emulator: local ports only, short logs, partitions for a few cores.
SPARK_SETTINGS = {
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "8",  # most of the default's 200 would be empty
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.ui.explainMode": "simple",  # the plan's text that the web interface would show
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
# Below this size of the input a step takes seconds, half of them in the optimising compiler.
SMALL_INPUT_BYTES = 64 * 2**20
SMALL_JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xmn512m",
    "-Djdk.lang.Process.launchMechanism=VFORK",  # of the programs that Hadoop starts for permissions
)
# Of the JVM that only prints the command of Spark's JVM.
LAUNCHER_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Spark's classes, archived in this Python's environment by `local.spark_classes`, if that has run. A JVM
# ignores an archive of another JVM or class path. So a step's configuration is not in a folder of the class
# path, such as SPARK_CONF_DIR.
CLASS_ARCHIVE = Path(sys.prefix, "spark-classes.jsa")
QUIET_ARCHIVE = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")  # no warning about an archive that is ignored
PROPERTIES_FILE = "spark.conf"
ARCHIVES_OPTION = "--archives"
SESSION = "emr"
SUPPORTED_CLASSIFICATIONS = ("spark", "spark-defaults")

StartProcess = Callable[..., Child]
"""Starts a child process; `Processes.start`."""


@dataclass(frozen=True)
class StepFailure:
    """Reason of a failed step, as in DescribeStep."""

    reason: str
    message: str
    log_file: str

    def details(self) -> dict[str, str]:
        """FailureDetails; without LogFile when the cluster stores no logs."""
        details = {"Reason": self.reason, "Message": self.message, "LogFile": self.log_file}
        return {name: value for name, value in details.items() if value}


class SparkStep:
    """Downloads the input, runs spark-submit, stores what it writes as it is written, and stores the logs."""

    def __init__(
        self,
        region: Region,
        flow: Mapping[str, Any],
        spec: Mapping[str, Any],
        role_arn: str,
        start_process: StartProcess,
    ) -> None:
        self._region = region
        self._flow = flow
        self._submit = parse_submit(spec["HadoopJarStep"]["Args"])
        self._role_arn = role_arn
        self._start_process = start_process
        self._child: Child | None = None
        self._stopped = False
        self._java_options: tuple[str, ...] = ()
        self._logs: dict[str, list[str]] = {"controller": [], "stdout": [], "stderr": []}

    def run(self, cluster_id: str, step_id: str) -> StepFailure | None:
        """Run the step; returns None when it succeeded."""
        self._log_group, self._log_stream = f"/emr/{cluster_id}", step_id
        folder = self._region.host.folder("emr", step_id)
        mirror = S3Mirror(self._region.role_client("s3", self._role_arn, SESSION), folder / "s3")
        failure = ("", "")
        try:
            status = self._run(folder, mirror)
            if status != 0:
                failure = (
                    f"The step exited with status {status}.",
                    f"exit code {status}: {self._last_line()}",
                )
        except (ClientError, OSError) as error:
            failure = ("Unable to fetch or store the step's files.", str(error))
        except Exception as error:
            failure = ("Unknown Error.", f"{type(error).__name__}: {error}")
        if failure[0]:
            self._note(f"{failure[0]} {failure[1]}")
        log_file = self._store_logs(cluster_id, step_id)
        return StepFailure(*failure, log_file) if failure[0] else None

    def stop(self) -> None:
        """End the step."""
        self._stopped = True
        if self._child is not None:
            self._child.stop()

    def _run(self, folder: Path, mirror: S3Mirror) -> int:
        submit = self._submit
        self._note("INFO Executing " + shlex.join([submit.application, *submit.arguments]))
        for name, value in submit.options:
            if name in CLUSTER_OPTIONS or is_container_property(name, value):
                self._note(f"WARN {name} {value} has no effect: the driver runs all tasks on this machine")
        for configuration in self._flow.get("Configurations", []):
            if configuration["Classification"] not in SUPPORTED_CLASSIFICATIONS:
                self._note(f"WARN configuration {configuration['Classification']} is not emulated")
        n_objects = mirror.download(argument for argument in submit.arguments if is_s3(argument))
        self._note(f"INFO {n_objects} objects downloaded; the driver has {driver_memory_mib(submit)} MiB")
        if mirror.size_bytes < SMALL_INPUT_BYTES:
            self._java_options = SMALL_JAVA_OPTIONS
        argv = self._command(folder, mirror)
        work = folder / "work"
        work.mkdir()
        self._unpack_archives(mirror, folder / "code", work)
        if self._stopped:
            return -15
        with mirror.following(self._note_stored):
            self._child = self._start_process(
                argv,
                cwd=work,
                env=self._environment(folder),
                on_line=lambda line: self._log("stdout", line),
                on_error_line=lambda line: self._log("stderr", line),
            )
            if self._stopped:  # stopped while the process was starting
                self._child.stop()
            status = self._child.wait()
        if not self._region.host.closing:
            for uri in mirror.upload():
                self._note_stored(uri)
        return status

    def _note_stored(self, uri: str) -> None:
        self._note(f"INFO stored {uri}")

    def _command(self, folder: Path, mirror: S3Mirror) -> list[str]:
        """spark-submit with local copies of S3 files; the application's arguments do not change."""
        code = folder / "code"
        code.mkdir()
        argv = [str(_spark_home() / "bin" / "spark-submit"), *local_options(self._submit)]
        argv += ["--properties-file", str(folder / PROPERTIES_FILE)]
        for name in sorted(FILE_OPTIONS - {ARCHIVES_OPTION}):
            if value := self._submit.value(name):
                files = [_local_path(mirror, item, code) for item in value.split(",")]
                argv += [name, ",".join(files)]
        application = _local_path(mirror, self._submit.application, code)
        self._write_properties(folder / PROPERTIES_FILE, mirror)
        return [*argv, application, *self._submit.arguments]

    def _unpack_archives(self, mirror: S3Mirror, code: Path, work: Path) -> None:
        """Unpack archives as YARN does: into the working folder, under the name after the ``#``."""
        for item in filter(None, self._submit.value(ARCHIVES_OPTION).split(",")):
            uri, _, name = item.partition("#")
            archive = Path(_local_path(mirror, uri, code))
            shutil.unpack_archive(archive, work / (name or archive.name))
            self._note(f"INFO {uri} is in ./{name or archive.name}")

    def _write_properties(self, path: Path, mirror: S3Mirror) -> None:
        defaults: dict[str, str] = {}
        for configuration in self._flow.get("Configurations", []):
            if configuration["Classification"] == "spark-defaults":
                defaults |= configuration.get("Properties", {})
        hadoop = {f"spark.hadoop.{name}": value for name, value in mirror.hadoop_settings().items()}
        lines = [f"{name} {value}" for name, value in {**defaults, **SPARK_SETTINGS, **hadoop}.items()]
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _environment(self, folder: Path) -> dict[str, str]:
        java_options = [f"-Djava.io.tmpdir={folder}", *self._java_options]
        if CLASS_ARCHIVE.is_file():
            java_options += [f"-XX:SharedArchiveFile={CLASS_ARCHIVE}", *QUIET_ARCHIVE]
        return {
            **self._region.machine_env(),
            **self._region.instance_env(self._role_arn, SESSION),
            "PATH": f"{PYTHON_PATH}:{_java_home() / 'bin'}",
            "JAVA_HOME": str(_java_home()),
            "USER": "hadoop",
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "SPARK_HOME": str(_spark_home()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder),
            "SPARK_LAUNCHER_OPTS": LAUNCHER_OPTIONS,
            "SPARK_SUBMIT_OPTS": " ".join(java_options),
            "PYSPARK_PYTHON": sys.executable,
        }

    # -- logs -------------------------------------------------------------------------------------
    def _log(self, name: str, line: str) -> None:
        self._logs[name].append(line)
        self._region.host.logs.write_line(self._log_group, self._log_stream, line)

    def _note(self, line: str) -> None:
        self._log("controller", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z {line}")

    def _last_line(self) -> str:
        """Last line of output; Spark writes a Python driver's standard error to standard output."""
        lines = self._logs["stdout"] or self._logs["stderr"]
        return next((line for line in reversed(lines) if line.strip()), "no output")

    def _store_logs(self, cluster_id: str, step_id: str) -> str:
        """Write the logs to LogUri; returns the URI of stderr."""
        log_uri = self._flow.get("LogUri", "")
        if not log_uri:
            return ""
        bucket, prefix = split_uri(log_uri.rstrip("/") + "/")
        base = f"{prefix}{cluster_id}/steps/{step_id}/"
        s3 = self._region.role_client("s3", self._role_arn, SESSION)
        try:
            for name, lines in self._logs.items():
                body = gzip.compress("\n".join([*lines, ""]).encode())
                s3.put_object(Bucket=bucket, Key=f"{base}{name}.gz", Body=body)
        except ClientError as error:
            self._note(f"WARN the logs cannot be stored: {error}")
            return ""
        return f"s3://{bucket}/{base}stderr.gz"


def _local_path(mirror: S3Mirror, item: str, folder: Path) -> str:
    return str(mirror.download_file(item, folder)) if is_s3(item) else item


def _java_home() -> Path:
    """JAVA_HOME of this machine, or the folder of the `java` on its PATH."""
    if home := os.environ.get("JAVA_HOME"):
        return Path(home)
    java = shutil.which("java")
    if java is None:
        raise OSError("java is not installed on this machine")
    return Path(java).resolve().parent.parent


def _spark_home() -> Path:
    """Spark of the installed PySpark."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise OSError("pyspark is not installed in this environment")
    return Path(spec.origin).resolve().parent  # the class path of the archive has no links
