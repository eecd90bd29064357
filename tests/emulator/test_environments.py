"""A child process has the variables that its service documents and no others (emulator/environments.md)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from emulator.app import PROVIDERS, Emulator, Wiring
from emulator.environment import KEPT
from emulator.processes import Child
from emulator.services.emr.provider import EmrProvider
from tests.emulator.services.sagemaker.support import archive, in_service, python_entrypoint, training_job
from tests.emulator.support import make_bucket, make_function, make_role
from tests.polling import eventually
from tests.repository import ROOT

WAIT_S = 60.0
# Set by the programs themselves: the locale of Python (PEP 538), the variables of a shell.
OWN = {"LC_CTYPE", "OLDPWD", "PWD", "SHLVL", "_", "__state", "__status", "__directory"}
PRINT = "import json, os; print('ENV ' + json.dumps(dict(os.environ)), flush=True)"
CHECKS = """
import os, tempfile
def writable(folder):
    try:
        open(os.path.join(folder, "probe"), "w").close()
        return True
    except OSError:
        return False
"""
FUNCTION = (
    CHECKS
    + """
def handler(event, context):
    return {"env": dict(os.environ), "cwd": os.getcwd(), "task": writable("/var/task"),
            "tmp": writable("/tmp"), "usr": writable("/usr"), "listed": os.listdir("/tmp")}
"""
)
INFERENCE = """
import json, os
def model_fn(folder): return folder
def input_fn(body, kind): return json.loads(body)
def predict_fn(data, model): return {"env": dict(os.environ), "folder": model}
def output_fn(prediction, accept): return json.dumps(prediction), accept
"""


def documented(service: str) -> set[str]:
    """Names of the variables that the table documents for a service."""
    text = (ROOT / "emulator" / "environments.md").read_text(encoding="utf-8")
    table = text.partition("<!-- variables:begin -->")[2].partition("<!-- variables:end -->")[0]
    names: set[str] = set()
    for row in table.strip().splitlines()[2:]:
        services, variables, _ = row.strip("| ").split(" | ", 2)
        if services == "all" or service in services.split(", "):
            names |= set(re.findall(r"`(\w+)`", variables))
    return names


def set_by_service(environment: dict[str, str]) -> set[str]:
    """Names of the variables of a process, without those of its programs and of this machine."""
    return set(environment) - OWN - set(KEPT)


class EnvironmentOfSteps:
    """Factory of an EMR provider whose steps print their environment instead of running Spark."""

    def make_provider(self, wiring: Wiring) -> EmrProvider:
        def start(command: Sequence[str], **options: Any) -> Child:
            del command
            return wiring.host.processes.start([sys.executable, "-I", "-c", PRINT], **options)

        return EmrProvider(wiring.host, wiring.forward, wiring.emit, start_process=start)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Emulator started by a user with own settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYTHONPATH", "LANG", "SSL_CERT_FILE", "SECRET"):
            patch.setenv(name, "/user")
        providers = {**PROVIDERS, "emr": EnvironmentOfSteps().make_provider}
        root = tmp_path_factory.mktemp("emulator")
        with Emulator(root=root, providers=providers).start() as running:
            make_bucket(running, "tests")
            yield running


def logged(emulator: Emulator, group: str) -> dict[str, str]:
    """Environment that a process has printed to a log group."""

    def look() -> str | None:
        logs = emulator.client("logs")
        if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return None
        found = logs.filter_log_events(logGroupName=group)["events"]
        lines = [event["message"] for event in found if event["message"].startswith("ENV ")]
        return lines[-1] if lines else None

    return dict(json.loads(eventually(look, WAIT_S, "the environment is printed").removeprefix("ENV ")))


def make_job_role(emulator: Emulator) -> str:
    name = "environment-jobs"
    log = {"Effect": "Allow", "Action": ["logs:*", "s3:*"], "Resource": "*"}
    try:
        return str(emulator.client("iam").get_role(RoleName=name)["Role"]["Arn"])
    except emulator.client("iam").exceptions.NoSuchEntityException:
        return make_role(emulator, name, "sagemaker.amazonaws.com", log)


def identity_of(environment: dict[str, str]) -> None:
    """Keys are not in the variables of a container."""
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} & set(environment)


def test_lambda(emulator: Emulator) -> None:
    make_function(emulator, "environment", FUNCTION)
    answer = emulator.client("lambda").invoke(FunctionName="environment")["Payload"].read()
    seen = json.loads(answer)
    assert set_by_service(seen["env"]) == documented("Lambda")
    # A clone below /tmp is mounted at its path, because the packages of the environment are there.
    clone = {ROOT.relative_to("/tmp").parts[0]} if ROOT.is_relative_to("/tmp") else set()
    assert set(seen["listed"]) <= {"probe", *clone}
    if emulator.host.has_views:
        assert (seen["cwd"], seen["env"]["LAMBDA_TASK_ROOT"]) == ("/var/task", "/var/task")
        assert (seen["task"], seen["usr"], seen["tmp"]) == (False, False, True)


def test_codebuild(emulator: Emulator) -> None:
    log = {"Effect": "Allow", "Action": ["logs:*"], "Resource": "*"}
    role = make_role(emulator, "environment-builds", "codebuild.amazonaws.com", log)
    identity = 'python -c \'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])\''
    commands = [f'python -c "{PRINT}"', identity]
    spec = json.dumps({"version": 0.2, "phases": {"build": {"commands": commands}}})
    emulator.client("codebuild").create_project(
        name="environment",
        source={"type": "NO_SOURCE", "buildspec": spec},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=role,
        logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": "/environment/builds"}},
    )
    emulator.client("codebuild").start_build(projectName="environment")
    environment = logged(emulator, "/environment/builds")
    assert set_by_service(environment) == documented("CodeBuild")
    identity_of(environment)
    if emulator.host.has_views:
        assert environment["HOME"] == "/root"
        assert re.fullmatch(r"/codebuild/output/src\d+/src", environment["CODEBUILD_SRC_DIR"])

    def assumed() -> bool:
        events = emulator.client("logs").filter_log_events(logGroupName="/environment/builds")["events"]
        return any("assumed-role/environment-builds/" in event["message"] for event in events)

    eventually(assumed, WAIT_S, "the build has its role's credentials")


def test_training(emulator: Emulator) -> None:
    request = training_job("environment-training", PRINT, RoleArn=make_job_role(emulator))
    emulator.client("sagemaker").create_training_job(**request)
    environment = logged(emulator, "/aws/sagemaker/TrainingJobs")
    assert set_by_service(environment) == documented("training")
    assert environment["AWS_REGION"] == emulator.region
    identity_of(environment)


def test_processing(emulator: Emulator) -> None:
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    emulator.client("sagemaker").create_processing_job(
        ProcessingJobName="environment-processing",
        AppSpecification={"ImageUri": "image", "ContainerEntrypoint": python_entrypoint(PRINT)},
        ProcessingResources={"ClusterConfig": cluster},
        RoleArn=make_job_role(emulator),
    )
    environment = logged(emulator, "/aws/sagemaker/ProcessingJobs")
    assert set_by_service(environment) == documented("processing")
    identity_of(environment)


def test_endpoint(emulator: Emulator) -> None:
    content = archive({"code/inference.py": INFERENCE})
    emulator.client("s3").put_object(Bucket="tests", Key="environment/model.tar.gz", Body=content)
    sagemaker = emulator.client("sagemaker")
    container = {"Image": "image", "ModelDataUrl": "s3://tests/environment/model.tar.gz"}
    role = make_job_role(emulator)
    sagemaker.create_model(ModelName="environment", ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "environment",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="environment", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="environment", EndpointConfigName="environment")
    in_service(sagemaker, "environment")
    body = emulator.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="environment", Body=b"{}", ContentType="application/json"
    )["Body"]
    seen = json.load(body)
    assert set_by_service(seen["env"]) == documented("endpoint")
    assert seen["folder"].endswith("/opt/ml/model")
    identity_of(seen["env"])


def test_emr_step(emulator: Emulator) -> None:
    service = make_role(emulator, "environment-emr", "elasticmapreduce.amazonaws.com")
    s3 = {"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}
    make_role(emulator, "environment-nodes", "ec2.amazonaws.com", s3)
    iam, ec2 = emulator.client("iam"), emulator.client("ec2")
    iam.create_instance_profile(InstanceProfileName="environment-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="environment-nodes", RoleName="environment-nodes")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    emulator.client("s3").put_object(Bucket="tests", Key="environment/job.py", Body=b"")
    group = {"InstanceRole": "MASTER", "InstanceType": "r5.xlarge", "InstanceCount": 1, "Name": "Primary"}
    command = ["spark-submit", "s3://tests/environment/job.py"]
    cluster = emulator.client("emr").run_job_flow(
        Name="environment",
        ReleaseLabel="emr-7.10.0",
        ServiceRole=service,
        JobFlowRole="environment-nodes",
        LogUri="s3://tests/logs/",
        Instances={"InstanceGroups": [group], "Ec2SubnetId": subnet, "KeepJobFlowAliveWhenNoSteps": False},
        Steps=[{"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": command}}],
    )["JobFlowId"]
    files = emulator.root / "logs" / "emr"

    def look() -> str | None:
        lines = [line for path in files.glob(f"{cluster}/*") for line in path.read_text().splitlines()]
        return next((line for line in lines if line.startswith("ENV ")), None)

    environment = json.loads(eventually(look, WAIT_S, "the step prints").removeprefix("ENV "))
    assert set_by_service(environment) == documented("EMR step")
    identity_of(environment)
    assert credentials_of_instance(environment)


def credentials_of_instance(environment: dict[str, str]) -> bool:
    """Whether the SDK finds credentials with the environment of a step."""
    from botocore.utils import InstanceMetadataFetcher

    fetcher = InstanceMetadataFetcher(
        timeout=10, base_url=environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"], env={}
    )
    return bool(fetcher.retrieve_iam_role_credentials().get("access_key"))
