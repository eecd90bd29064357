"""Command line of spark-submit: parser, and options for local mode."""

from __future__ import annotations

import os

import psutil
import pytest

from emulator.services.emr.spark_submit import (
    SubmitError,
    driver_memory_mib,
    local_options,
    parse_submit,
    to_mib,
)

COMMAND = [
    "spark-submit",
    "--deploy-mode",
    "cluster",
    "--executor-memory=2g",
    "--verbose",
    "--py-files",
    "s3://code/ml.zip",
    "--conf",
    "spark.sql.shuffle.partitions=4",
    "--archives",
    "s3://code/packages.zip#environment",
    "--conf",
    "spark.yarn.appMasterEnv.PYTHONPATH=./environment",
    "--conf",
    "spark.executorEnv.PYTHONPATH=./environment",
    "s3://code/prepare.py",
    "--input",
    "s3://data/raw/",
    "--master",
    "of the job",
]


def test_arguments_after_the_application_are_not_options() -> None:
    submit = parse_submit(COMMAND)
    assert submit.application == "s3://code/prepare.py"
    assert submit.arguments == ("--input", "s3://data/raw/", "--master", "of the job")
    assert submit.value("--py-files") == "s3://code/ml.zip"
    assert submit.value("--deploy-mode") == "cluster"
    assert submit.value("--queue") == ""


def test_cluster_options_are_replaced_by_local_mode() -> None:
    options = local_options(parse_submit(COMMAND))
    assert options == [
        "--master",
        f"local[{os.cpu_count()}]",
        "--driver-memory",
        "2048m",
        "--conf",
        "spark.sql.shuffle.partitions=4",
    ]


def test_driver_memory_is_at_most_half_of_the_machine_memory() -> None:
    half = int(psutil.virtual_memory().total / 2**20 / 2)
    assert driver_memory_mib(parse_submit(["spark-submit", "--driver-memory", "900t", "a.py"])) == half
    assert driver_memory_mib(parse_submit(["spark-submit", "a.py"])) == half
    assert (to_mib("512"), to_mib("1g"), to_mib("1024kb"), to_mib("")) == (512, 1024, 1, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "spark-submit only, not nothing"),
        (["hadoop-streaming"], "spark-submit only, not hadoop-streaming"),
        (["spark-submit"], "no application"),
        (["spark-submit", "--conf"], "--conf: a value is missing"),
        (["spark-submit", "--confg", "a=b", "a.py"], "--confg: spark-submit has no such option"),
        (
            ["spark-submit", "--packages", "org:x:1", "a.py"],
            "--packages: the emulator does not support it",
        ),
        (["spark-submit", "--class", "Main", "a.jar"], "a.jar: the emulator runs Python applications"),
    ],
)
def test_unsupported_command_is_refused_with_the_argument(args: list[str], message: str) -> None:
    with pytest.raises(SubmitError, match=message):
        parse_submit(args)
