"""Containers of training jobs: files, environment, packages, checkpoints and the SageMaker SDK's drivers."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from emulator.app import Emulator
from emulator.services.sagemaker.jobs.training import LOG_GROUP
from tests.emulator.services.sagemaker.support import (
    BUCKET,
    WAIT_S,
    Put,
    channel,
    log_lines,
    run_training,
    source_folder,
    training_ended,
    training_job,
    unpacked,
)
from tests.polling import eventually


def test_model_folder_is_uploaded_and_inputs_are_below_opt_ml(
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
    job = run_training(
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
    assert list(report["config"]["inputdataconfig"]) == ["train"]
    assert report["config"]["resourceconfig"]["hosts"] == ["algo-1"]
    assert report["env"]["TRAINING_JOB_NAME"] == name
    assert report["env"]["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert report["env"]["WHERE"].endswith("/opt/ml/input")
    assert unpacked(emulator, uri.replace("model.tar", "output.tar")) == {"extra.txt": "extra"}
    assert log_lines(emulator, LOG_GROUP, f"{name}/algo-1-") == ["done"]


def test_job_imports_installed_packages_and_not_the_repository(sagemaker: Any, name: str) -> None:
    script = """
import importlib.util, os, numpy
assert importlib.util.find_spec("local") is None and importlib.util.find_spec("ml") is None
assert "AWS_PROFILE" not in os.environ and os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1")
"""
    job = run_training(sagemaker, training_job(name, script))
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_pip_accepts_installed_requirements_and_downloads_none(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    script = """
import subprocess, sys
pip = [sys.executable, "-m", "pip", "install"]
raise SystemExit(subprocess.run([*pip, "numpy", "a-package-that-is-not-here"]).returncode)
"""
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    job = run_training(sagemaker, training_job(name, script, Environment=index))
    assert job["FailureReason"].endswith("exit code: 1")
    lines = log_lines(emulator, LOG_GROUP, name)
    assert any("already satisfied: numpy" in line for line in lines)
    assert any("No matching distribution found for a-package-that-is-not-here" in line for line in lines)
    assert not any("127.0.0.1:9" in line for line in lines)


def test_checkpoints_are_downloaded_and_uploaded_also_when_the_job_fails(
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
    job = run_training(sagemaker, training_job(name, script, CheckpointConfig=checkpoints))
    assert job["TrainingJobStatus"] == "Failed"
    kept = emulator.client("s3").get_object(Bucket=BUCKET, Key=f"{name}/checkpoints/epoch")["Body"].read()
    assert kept == b"5"


def test_checkpoints_are_in_s3_while_the_job_runs_and_are_restored_after_it_was_killed(
    emulator: Emulator, sagemaker: Any, name: str
) -> None:
    script = """
import os, pathlib, signal, sys, time
path = pathlib.Path("/opt/ml/checkpoints/phase/epoch")
if path.exists():
    print("restored", path.read_text())
    sys.exit(0)
path.parent.mkdir()
path.write_text("7")
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
time.sleep(60)
"""
    uri, s3 = f"s3://{BUCKET}/{name}/checkpoints", emulator.client("s3")
    sagemaker.create_training_job(**training_job(f"{name}-1", script, CheckpointConfig={"S3Uri": uri}))

    def keys() -> list[str]:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/checkpoints/").get("Contents", [])
        return [each["Key"] for each in found]

    assert eventually(keys, WAIT_S, "the checkpoint is in S3") == [f"{name}/checkpoints/phase/epoch"]
    running = sagemaker.describe_training_job(TrainingJobName=f"{name}-1")
    assert running["TrainingJobStatus"] == "InProgress"
    sagemaker.stop_training_job(TrainingJobName=f"{name}-1")
    training_ended(sagemaker, f"{name}-1")
    job = run_training(sagemaker, training_job(f"{name}-2", script, CheckpointConfig={"S3Uri": uri}))
    assert job["TrainingJobStatus"] == "Completed"
    assert "restored 7" in log_lines(emulator, LOG_GROUP, f"{name}-2")


def test_sagemaker_sdk_drivers_run_unchanged(emulator: Emulator, sagemaker: Any, put: Put, name: str) -> None:
    """Uses the driver files and the script that ModelTrainer of SDK 3.x uploads, byte for byte."""
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
        "open(os.environ['SM_MODEL_DIR'] + '/output', 'w').write(\n"
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
    job = run_training(sagemaker, request)
    assert job["TrainingJobStatus"] == "Completed", log_lines(emulator, LOG_GROUP, name)[-5:]
    assert unpacked(emulator, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"output": "--epochs 7 data"}
