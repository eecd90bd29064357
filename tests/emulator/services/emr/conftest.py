"""Fixtures of the EMR tests: one emulator, and the resources of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from emulator.app import PROVIDERS, Emulator, Wiring
from emulator.processes import Child
from emulator.services.emr.provider import EmrProvider
from tests.emulator.support import WAIT_S, make_bucket, make_role, zipped
from tests.polling import eventually

JOB = """
import sys
import helper
source, target = sys.argv[1:3]
if target == "nowhere":
    print("ValueError: row 7 has no user", file=sys.stderr)
    sys.exit(2)
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
Path = spark._jvm.org.apache.hadoop.fs.Path
root = Path(target)
files = root.getFileSystem(spark._jsc.hadoopConfiguration())
rows = spark.read.csv(source, header=True)
rows.coalesce(1).write.parquet(target + "train")
paths = [status.getPath() for status in files.listStatus(Path(target + "train"))]
part = next(path for path in paths if path.getName().endswith("parquet"))
assert files.rename(part, Path(target + "users.parquet"))
n_rows = rows.count()
n_top = spark.read.csv(sys.argv[3]).count()
files.delete(Path(source.rstrip("/") + "/old.csv"), True)
files.create(Path(target + "_SUCCESS")).close()
assert open("packages/word.txt").read() == "unpacked"
print(helper.GREETING, n_rows, n_top, spark.conf.get("spark.sql.session.timeZone"), spark.sparkContext.master)
"""
FINAL_STATES = ("TERMINATED", "TERMINATED_WITH_ERRORS")


class EmrUnderTest:
    """Factory of the EMR provider.

    Attributes:
        before_start: called before the process of a step starts; takes its command, returns the one to start.
    """

    def __init__(self) -> None:
        self.before_start: Callable[[Sequence[str]], Sequence[str]] = lambda command: command

    def make_provider(self, wiring: Wiring) -> EmrProvider:
        def start(command: Sequence[str], **options: Any) -> Child:
            return wiring.host.processes.start(self.before_start(command), **options)

        return EmrProvider(wiring.host, wiring.forward, wiring.emit, start_process=start)


@pytest.fixture(scope="package")
def under_test() -> EmrUnderTest:
    """EMR in the package's emulator."""
    return EmrUnderTest()


@pytest.fixture(scope="package")
def emulator(tmp_path_factory: pytest.TempPathFactory, under_test: EmrUnderTest) -> Iterator[Emulator]:
    """Running emulator with every provider."""
    providers = {**PROVIDERS, "emr": under_test.make_provider}
    with Emulator(root=tmp_path_factory.mktemp("emulator"), providers=providers).start() as running:
        yield running


USE_LAKE = {
    "Effect": "Allow",
    "Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "Resource": ["arn:aws:s3:::lake*", "arn:aws:s3:::absent*"],
}


@pytest.fixture(scope="package")
def flow(emulator: Emulator) -> dict[str, Any]:
    """RunJobFlow request without steps; its resources exist."""
    service = make_role(emulator, "emr", "elasticmapreduce.amazonaws.com")
    make_role(emulator, "nodes", "ec2.amazonaws.com", USE_LAKE)
    iam, ec2, s3 = (emulator.client(name) for name in ("iam", "ec2", "s3"))
    iam.create_instance_profile(InstanceProfileName="nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    make_bucket(emulator, "lake", events=True)
    make_bucket(emulator, "lake-code")
    make_bucket(emulator, "lake-logs")
    s3.put_object(Bucket="lake-code", Key="spark/job.py", Body=JOB.encode())
    s3.put_object(
        Bucket="lake-code", Key="spark/helper.zip", Body=zipped({"helper.py": "GREETING = 'rows:'"})
    )
    s3.put_object(Bucket="lake-code", Key="spark/packages.zip", Body=zipped({"word.txt": "unpacked"}))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    emulator.client("emr").create_security_configuration(Name="secure", SecurityConfiguration="{}")
    group = {"InstanceRole": "MASTER", "InstanceType": "r5.xlarge", "InstanceCount": 1, "Name": "Primary"}
    return {
        "Name": "prepare",
        "ReleaseLabel": "emr-7.10.0",
        "LogUri": "s3://lake-logs/emr/",
        "ServiceRole": service,
        "JobFlowRole": "nodes",
        "SecurityConfiguration": "secure",
        "Instances": {"InstanceGroups": [group], "Ec2SubnetId": subnet, "KeepJobFlowAliveWhenNoSteps": False},
        "Configurations": [
            {"Classification": "spark-defaults", "Properties": {"spark.sql.session.timeZone": "Asia/Seoul"}}
        ],
        "Tags": [{"Key": "Service", "Value": "shop"}],
    }


def step(*arguments: str, name: str = "prepare", on_failure: str = "TERMINATE_CLUSTER") -> dict[str, Any]:
    """Step that submits `JOB`."""
    command = ["spark-submit", "--deploy-mode", "cluster", "--py-files", "s3://lake-code/spark/helper.zip"]
    command += ["--archives", "s3://lake-code/spark/packages.zip#packages"]
    args = [*command, "s3://lake-code/spark/job.py", *arguments]
    runner = {"Jar": "command-runner.jar", "Args": args}
    return {"Name": name, "ActionOnFailure": on_failure, "HadoopJarStep": runner}


def ended(emulator: Emulator, cluster_id: str, timeout_s: float = 120) -> dict[str, Any]:
    """Wait for the end of a cluster and return its description."""

    def look() -> dict[str, Any] | None:
        found = emulator.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]
        return dict(found) if found["Status"]["State"] in FINAL_STATES else None

    return eventually(look, timeout_s, f"cluster {cluster_id} ends")


def await_state(emulator: Emulator, cluster_id: str, state: str) -> None:
    """Wait until a cluster has a state."""

    def look() -> bool:
        cluster = emulator.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]
        return bool(cluster["Status"]["State"] == state)

    eventually(look, WAIT_S, f"cluster {cluster_id} is {state}")


def steps_of(emulator: Emulator, cluster_id: str) -> dict[str, dict[str, Any]]:
    """Statuses of a cluster's steps by step name."""
    return {s["Name"]: s["Status"] for s in emulator.client("emr").list_steps(ClusterId=cluster_id)["Steps"]}
