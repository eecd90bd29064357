"""Training jobs: what the container finds, what is kept of it, and how it can end."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import moto_state
from emulator.app import Emulator
from tests.emulator.services.sagemaker.conftest import (
    BUCKET,
    Put,
    log_lines,
    source_folder,
    training_job,
    unpacked,
)
from tests.polling import eventually

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def run(sagemaker: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The description of a job that has ended."""
    name = request["TrainingJobName"]
    sagemaker.create_training_job(**request)

    def ended() -> dict[str, Any] | None:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return eventually(ended)


def channel(name: str, uri: str) -> dict[str, Any]:
    """A channel from an S3 prefix."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_a_model_is_what_the_container_leaves_in_its_model_folder(
    emulator: Emulator, sagemaker: Any, put: Put, name: str
) -> None:
    put(f"{name}/data/a.txt", "one")
    put(f"{name}/data/deep/b.txt", "two")
    script = """
import json, os, pathlib
root = pathlib.Path("/opt/ml")
data = root / "input/data"
found = {str(p.relative_to(data)): p.read_text() for p in data.rglob("*.txt")}
config = {p.stem: json.loads(p.read_text()) for p in (root / "input/config").iterdir()}
report = {"found": found, "config": config, "env": dict(os.environ)}
(root / "model/report.json").write_text(json.dumps(report))
(root / "output/data/extra.txt").write_text("extra")
print("done")
"""
    job = run(
        sagemaker,
        training_job(
            name,
            script,
            InputDataConfig=[channel("train", f"s3://{BUCKET}/{name}/data")],
            HyperParameters={"epochs": "3", "path": "/opt/ml/model"},
            Environment={"WHERE": "/opt/ml/input"},
        ),
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{BUCKET}/models/{name}/output/model.tar.gz"
    report = json.loads(unpacked(emulator, uri)["report.json"])
    assert report["found"] == {"train/a.txt": "one", "train/deep/b.txt": "two"}
    assert report["config"]["hyperparameters"]["epochs"] == "3"
    assert report["config"]["hyperparameters"]["path"].endswith("/opt/ml/model")
    assert report["config"]["hyperparameters"]["path"] != "/opt/ml/model"
    assert list(report["config"]["inputdataconfig"]) == ["train"]
    assert report["config"]["resourceconfig"]["hosts"] == ["algo-1"]
    assert report["env"]["TRAINING_JOB_NAME"] == name
    assert report["env"]["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert report["env"]["WHERE"].endswith("/opt/ml/input")
    assert unpacked(emulator, uri.replace("model.tar", "output.tar")) == {"extra.txt": "extra"}
    assert log_lines(emulator, LOG_GROUP, f"{name}/algo-1-") == ["done"]


def test_secondary_statuses_follow_one_another_and_the_job_is_announced(
    sagemaker: Any, name: str, events: list[Any]
) -> None:
    job = run(sagemaker, training_job(name, "pass"))
    transitions = job["SecondaryStatusTransitions"]
    assert [item["Status"] for item in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(item["EndTime"] >= item["StartTime"] for item in transitions)
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]
    seen = [
        (kind, detail["TrainingJobStatus"])
        for kind, detail, arns in events
        if arns == [job["TrainingJobArn"]]
    ]
    kind = "SageMaker Training Job State Change"
    assert seen == [(kind, "InProgress"), (kind, "Completed")]


def test_metrics_are_the_last_values_that_the_regexes_find(sagemaker: Any, name: str) -> None:
    definitions = [
        {"Name": "HR@10", "Regex": r"HR@10=([0-9.]+)"},
        {"Name": "Loss", "Regex": r"Loss=([0-9.eE+-]+)"},
        {"Name": "absent", "Regex": "absent=(.*)"},
    ]
    script = "print('HR@10=0.5; Loss=1e-1;'); print('HR@10=0.7012; Loss=2.5e-2;'); print('Loss=-.')"
    request = training_job(name, script, AlgorithmSpecification={"MetricDefinitions": definitions})
    job = run(sagemaker, request)
    found = {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]}
    assert found == pytest.approx({"HR@10": 0.7012, "Loss": 0.025})
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == definitions


def test_the_failure_file_is_the_failure_reason(sagemaker: Any, name: str) -> None:
    script = "open('/opt/ml/output/failure', 'w').write('no users in the run\\n'); raise SystemExit(3)"
    job = run(sagemaker, training_job(name, script))
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no users in the run, exit code: 3"


def test_without_a_failure_file_the_last_line_is_the_failure_reason(sagemaker: Any, name: str) -> None:
    job = run(sagemaker, training_job(name, "raise ValueError('x' * 2000)"))
    assert job["FailureReason"].startswith("AlgorithmError: ValueError: xxx")
    assert job["FailureReason"].endswith(", exit code: 1")
    assert len(job["FailureReason"]) == 1024


def test_a_signal_is_an_exit_code_above_128(sagemaker: Any, name: str) -> None:
    job = run(sagemaker, training_job(name, "import os; os.kill(os.getpid(), 9)"))
    assert job["FailureReason"] == "AlgorithmError: , exit code: 137"


def test_an_empty_channel_fails_the_job(sagemaker: Any, name: str) -> None:
    uri = f"s3://{BUCKET}/{name}/nothing"
    job = run(sagemaker, training_job(name, "pass", InputDataConfig=[channel("train", uri)]))
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects found")
    assert uri in job["FailureReason"]


def test_a_job_over_its_runtime_is_stopped_and_keeps_its_model(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    script = "import time; open('/opt/ml/model/half', 'w').write('x'); time.sleep(60)"
    job = run(sagemaker, training_job(name, script, StoppingCondition={"MaxRuntimeInSeconds": 1}))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert unpacked(emulator, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"half": "x"}


def test_a_job_can_be_stopped(emulator: Emulator, sagemaker: Any, name: str) -> None:
    sagemaker.create_training_job(**training_job(name, "import time; print('on'); time.sleep(60)"))
    eventually(
        lambda: (
            moto_state.backend("logs", emulator.region).groups.get(LOG_GROUP)
            and log_lines(emulator, LOG_GROUP, name)
        )
    )
    sagemaker.stop_training_job(TrainingJobName=name)
    job = eventually(
        lambda: (
            (job := sagemaker.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] == "Stopped"
            and job
        )
    )
    assert [item["Status"] for item in job["SecondaryStatusTransitions"]][-2:] == ["Stopping", "Stopped"]


def test_checkpoints_come_back_and_are_kept_even_when_the_job_fails(
    emulator: Emulator, sagemaker: Any, put: Put, name: str
) -> None:
    put(f"{name}/checkpoints/epoch", "4")
    script = """
path = "/opt/ml/checkpoints/epoch"
epoch = int(open(path).read())
open(path, "w").write(str(epoch + 1))
raise SystemExit(1)
"""
    checkpoints = {"S3Uri": f"s3://{BUCKET}/{name}/checkpoints"}
    job = run(sagemaker, training_job(name, script, CheckpointConfig=checkpoints))
    assert job["TrainingJobStatus"] == "Failed"
    kept = emulator.client("s3").get_object(Bucket=BUCKET, Key=f"{name}/checkpoints/epoch")["Body"].read()
    assert kept == b"5"


def test_a_job_finds_this_environment_s_packages_and_nothing_of_the_repository(
    sagemaker: Any, name: str
) -> None:
    script = """
import importlib.util, os, numpy
assert importlib.util.find_spec("local") is None and importlib.util.find_spec("ml") is None
assert "AWS_PROFILE" not in os.environ and os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1")
"""
    job = run(sagemaker, training_job(name, script))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_pip_installs_nothing_that_is_not_there_already(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    script = """
import subprocess, sys
pip = [sys.executable, "-m", "pip", "install"]
subprocess.run([*pip, "numpy"], check=True)
raise SystemExit(subprocess.run([*pip, "a-package-that-is-not-here"]).returncode)
"""
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    job = run(sagemaker, training_job(name, script, Environment=index))
    assert job["FailureReason"].endswith("exit code: 1")
    lines = log_lines(emulator, LOG_GROUP, name)
    assert any("already satisfied: numpy" in line for line in lines)
    assert any("No matching distribution found for a-package-that-is-not-here" in line for line in lines)
    assert not any("127.0.0.1:9" in line for line in lines)


def test_the_sdk_s_drivers_run_as_they_are(emulator: Emulator, sagemaker: Any, put: Put, name: str) -> None:
    """The driver files and the script that ModelTrainer of SDK 3.x uploads, byte for byte."""
    sdk = source_folder("sagemaker")
    spec = importlib.util.spec_from_file_location("templates", sdk / "train" / "templates.py")
    templates = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(templates)
    drivers = sdk / "train" / "container_drivers"
    for path in drivers.rglob("*.py"):
        put(f"{name}/sm_drivers/{path.relative_to(drivers)}", path.read_bytes())
    installer = sdk / "core" / "utils" / "install_requirements.py"
    put(f"{name}/sm_drivers/scripts/install_requirements.py", installer.read_bytes())
    script = templates.TRAIN_SCRIPT_TEMPLATE.format(
        working_dir="cd /opt/ml/input/data/code \n",
        install_requirements=templates.INSTALL_REQUIREMENTS.format(requirements_file="requirements.txt"),
        execute_driver=templates.EXECUTE_BASE_COMMANDS.format(
            base_command="python3 -m package.train --epochs $SM_HP_EPOCHS"
        ),
    )
    put(f"{name}/sm_drivers/sm_train.sh", script)
    put(f"{name}/sm_drivers/sourcecode.json", "{}")
    put(f"{name}/sm_drivers/distributed.json", "{}")
    put(f"{name}/code/requirements.txt", "numpy\n")
    put(
        f"{name}/code/package/train.py",
        "import os, sys\n"
        "open(os.environ['SM_MODEL_DIR'] + '/seen', 'w').write(\n"
        "    ' '.join([*sys.argv[1:], open(os.environ['SM_CHANNEL_TRAIN'] + '/x').read()]))\n",
    )
    put(f"{name}/train/x", "data")
    driver = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    request = training_job(
        name,
        "",
        AlgorithmSpecification={
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", f"chmod +x {driver} && {driver}"],
        },
        InputDataConfig=[
            channel(key, f"s3://{BUCKET}/{name}/{key}") for key in ("code", "train", "sm_drivers")
        ],
        HyperParameters={"epochs": "7"},
    )
    job = run(sagemaker, request)
    assert job["TrainingJobStatus"] == "Completed", log_lines(emulator, LOG_GROUP, name)[-5:]
    assert unpacked(emulator, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"seen": "--epochs 7 data"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"AlgorithmSpecification": {"ContainerEntrypoint": []}}, "ContainerEntrypoint"),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}},
            "InstanceCount",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}}, "channel train: input mode Pipe"),
    ],
)
def test_what_can_t_be_run_is_refused_by_its_name(
    sagemaker: Any, name: str, changes: dict[str, Any], named: str
) -> None:
    request = training_job(name, "pass", InputDataConfig=[channel("train", f"s3://{BUCKET}/x")], **changes)
    if request["AlgorithmSpecification"]["ContainerEntrypoint"] == []:
        del request["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match=named) as refused:
        sagemaker.create_training_job(**request)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_a_name_is_used_once(sagemaker: Any, name: str) -> None:
    run(sagemaker, training_job(name, "pass"))
    with pytest.raises(ClientError) as refused:
        sagemaker.create_training_job(**training_job(name, "pass"))
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
