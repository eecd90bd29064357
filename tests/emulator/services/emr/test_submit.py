"""spark-submit's command line, and what one machine makes of it."""

from __future__ import annotations

import os

import psutil
import pytest

from emulator.services.emr.submit import SubmitError, driver_memory_mib, local_options, mib, parse_submit

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


def test_options_end_where_the_application_begins() -> None:
    submit = parse_submit(COMMAND)
    assert submit.application == "s3://code/prepare.py"
    assert submit.arguments == ("--input", "s3://data/raw/", "--master", "of the job")
    assert submit.value("--py-files") == "s3://code/ml.zip"
    assert submit.value("--deploy-mode") == "cluster"
    assert submit.value("--queue") == ""


def test_one_machine_takes_the_place_of_the_cluster() -> None:
    options = local_options(parse_submit(COMMAND))
    assert options == [
        "--master",
        f"local[{os.cpu_count()}]",
        "--driver-memory",
        "2048m",
        "--conf",
        "spark.sql.shuffle.partitions=4",
    ]


def test_memory_is_capped_by_the_machine() -> None:
    half = int(psutil.virtual_memory().total / 2**20 / 2)
    assert driver_memory_mib(parse_submit(["spark-submit", "--driver-memory", "900t", "a.py"])) == half
    assert driver_memory_mib(parse_submit(["spark-submit", "a.py"])) == half
    assert (mib("512"), mib("1g"), mib("1024kb"), mib("")) == (512, 1024, 1, 0)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "spark-submit only, not nothing"),
        (["hadoop-streaming"], "spark-submit only, not hadoop-streaming"),
        (["spark-submit"], "no application"),
        (["spark-submit", "--conf"], "--conf: a value is missing"),
        (["spark-submit", "--confg", "a=b", "a.py"], "--confg: spark-submit knows no such option"),
        (
            ["spark-submit", "--packages", "org:x:1", "a.py"],
            "--packages: the emulator does not take it",
        ),
        (["spark-submit", "--class", "Main", "a.jar"], "a.jar: the emulator runs Python applications"),
    ],
)
def test_what_cannot_be_run_is_refused_by_its_name(args: list[str], message: str) -> None:
    with pytest.raises(SubmitError, match=message):
        parse_submit(args)
