"""spark-submit's command line: parsed as sent to EMR, and rewritten to run on one machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

# spark-submit --help of Spark 3.5
WITH_VALUE = {
    "--archives",
    "--class",
    "--conf",
    "-c",
    "--deploy-mode",
    "--driver-class-path",
    "--driver-cores",
    "--driver-java-options",
    "--driver-library-path",
    "--driver-memory",
    "--exclude-packages",
    "--executor-cores",
    "--executor-memory",
    "--files",
    "--jars",
    "--keytab",
    "--master",
    "--name",
    "--num-executors",
    "--packages",
    "--principal",
    "--properties-file",
    "--proxy-user",
    "--py-files",
    "--queue",
    "--repositories",
    "--total-executor-cores",
}
FLAGS = {"--supervise", "--verbose", "-v"}
FILE_OPTIONS = {"--py-files", "--files", "--jars", "--archives"}  # their values can be S3 URIs
# Options of a cluster, without effect on one machine; the step's log contains a warning.
CLUSTER_OPTIONS = {
    "--master",
    "--deploy-mode",
    "--num-executors",
    "--executor-cores",
    "--executor-memory",
    "--driver-memory",
    "--driver-cores",
    "--queue",
    "--total-executor-cores",
}
# Configuration of YARN's containers.
CONTAINER_PROPERTIES = ("spark.yarn.", "spark.executorEnv.PYTHONPATH=")
UNSUPPORTED = {"--packages", "--repositories", "--proxy-user", "--principal", "--keytab", "--properties-file"}
MEMORY_SHARE = 0.5  # of this machine's memory, for the driver, which also runs all tasks
MIB_PER_UNIT = {"k": 2**-10, "m": 1, "g": 2**10, "t": 2**20}


class SubmitError(Exception):
    """A command line cannot be run on this machine; the message names the argument."""


@dataclass(frozen=True)
class SparkSubmit:
    """Parsed spark-submit command: options, application, and arguments of the application."""

    options: tuple[tuple[str, str], ...]
    application: str
    arguments: tuple[str, ...]

    def value(self, option: str) -> str:
        """Last value of an option; empty without one."""
        return next((value for name, value in reversed(self.options) if name == option), "")


def parse_submit(args: Sequence[str]) -> SparkSubmit:
    """Parse ``spark-submit …``.

    Raises:
        SubmitError: another command, or an option that the emulator does not support.
    """
    if not args or args[0] != "spark-submit":
        raise SubmitError(f"the emulator runs spark-submit only, not {args[0] if args else 'nothing'}")
    options: list[tuple[str, str]] = []
    position = 1
    while position < len(args) and args[position].startswith("-"):
        name, equals, value = args[position].partition("=")
        if name in UNSUPPORTED:
            raise SubmitError(f"{name}: the emulator does not support it")
        if name in FLAGS:
            position += 1
            continue
        if name not in WITH_VALUE:
            raise SubmitError(f"{name}: spark-submit has no such option")
        if not equals:
            if position + 1 >= len(args):
                raise SubmitError(f"{name}: a value is missing")
            position += 1
            value = args[position]
        options.append((name, value))
        position += 1
    if position >= len(args):
        raise SubmitError("no application to submit")
    if not args[position].endswith(".py"):
        raise SubmitError(f"{args[position]}: the emulator runs Python applications")
    return SparkSubmit(tuple(options), args[position], tuple(args[position + 1 :]))


def local_options(submit: SparkSubmit) -> list[str]:
    """Options for one machine: all cores, at most half of the memory, local mode."""
    options = [
        "--master",
        f"local[{os.cpu_count() or 1}]",
        "--driver-memory",
        f"{driver_memory_mib(submit)}m",
    ]
    for name, value in submit.options:
        if not (name in CLUSTER_OPTIONS or name in FILE_OPTIONS or is_container_property(name, value)):
            options += [name, value]
    return options


def is_container_property(option: str, value: str) -> bool:
    """Whether an option configures YARN's containers, whose packages do not fit this machine's Python."""
    return option in {"--conf", "-c"} and value.startswith(CONTAINER_PROPERTIES)


def driver_memory_mib(submit: SparkSubmit) -> int:
    """Driver memory: the larger of driver and executor memory, at most `MEMORY_SHARE` of this machine's."""
    limit = int(psutil.virtual_memory().total / 2**20 * MEMORY_SHARE)
    requested = [to_mib(submit.value(option)) for option in ("--driver-memory", "--executor-memory")]
    return min(max([size for size in requested if size], default=limit), limit)


def to_mib(size: str) -> int:
    """Memory size in MiB: 4096 for ``4g``, 0 for an empty string; the default unit is MiB, as in Spark."""
    if not size:
        return 0
    text = size.lower().removesuffix("b")
    return int(text) if text.isdigit() else int(int(text[:-1]) * MIB_PER_UNIT[text[-1]])
