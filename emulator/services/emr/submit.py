"""spark-submit's command line: taken apart as EMR gets it, put together as one machine runs it."""

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
FETCHED = {"--py-files", "--files", "--jars", "--archives"}  # may name objects in S3
# Of a cluster: one machine has no use for them, and what it does instead is said in the step's log.
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
OF_CONTAINERS = ("spark.yarn.", "spark.executorEnv.PYTHONPATH=")
REFUSED = {"--packages", "--repositories", "--proxy-user", "--principal", "--keytab", "--properties-file"}
MEMORY_SHARE = 0.5  # of this machine's, for a driver that is the whole cluster
UNITS = {"k": 2**-10, "m": 1, "g": 2**10, "t": 2**20}


class SubmitError(Exception):
    """A command line that can't be run here; the message names the part."""


@dataclass(frozen=True)
class Submit:
    """A spark-submit command: options before the application, its own arguments after it."""

    options: tuple[tuple[str, str], ...]
    application: str
    arguments: tuple[str, ...]

    def value(self, option: str) -> str:
        """The last value of an option, or empty."""
        return next((value for name, value in reversed(self.options) if name == option), "")


def parse_submit(args: Sequence[str]) -> Submit:
    """The parts of ``spark-submit …``.

    Raises:
        SubmitError: it is another command, or says what one machine can't do.
    """
    if not args or args[0] != "spark-submit":
        raise SubmitError(f"the emulator runs spark-submit only, not {args[0] if args else 'nothing'}")
    options: list[tuple[str, str]] = []
    position = 1
    while position < len(args) and args[position].startswith("-"):
        name, equals, value = args[position].partition("=")
        if name in REFUSED:
            raise SubmitError(f"{name}: the emulator does not take it")
        if name in FLAGS:
            position += 1
            continue
        if name not in WITH_VALUE:
            raise SubmitError(f"{name}: spark-submit knows no such option")
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
    return Submit(tuple(options), args[position], tuple(args[position + 1 :]))


def local_options(submit: Submit) -> list[str]:
    """The options for one machine: its cores, at most half its memory, the driver in this process."""
    options = [
        "--master",
        f"local[{os.cpu_count() or 1}]",
        "--driver-memory",
        f"{driver_memory_mib(submit)}m",
    ]
    for name, value in submit.options:
        if not (name in CLUSTER_OPTIONS or name in FETCHED or is_of_containers(name, value)):
            options += [name, value]
    return options


def is_of_containers(option: str, value: str) -> bool:
    """Whether an option is about YARN's containers: their packages are not for this machine's Python."""
    return option in {"--conf", "-c"} and value.startswith(OF_CONTAINERS)


def driver_memory_mib(submit: Submit) -> int:
    """What the job asks of driver and executors, capped by this machine."""
    limit = int(psutil.virtual_memory().total / 2**20 * MEMORY_SHARE)
    asked = [mib(submit.value(option)) for option in ("--driver-memory", "--executor-memory")]
    return min(max([size for size in asked if size], default=limit), limit)


def mib(size: str) -> int:
    """``4g`` as 4096; 0 for nothing. Without a unit it is MiB, as Spark has it."""
    if not size:
        return 0
    text = size.lower().removesuffix("b")
    return int(text) if text.isdigit() else int(int(text[:-1]) * UNITS[text[-1]])
