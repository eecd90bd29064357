"""Views: private folders at documented paths, everything else read-only; and jobs without views."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator.app import Emulator
from emulator.mounts import Mount, View, views_work
from tests.emulator.services.sagemaker.support import run_training, training_job
from tests.emulator.support import make_bucket, make_role

needs_views = pytest.mark.skipif(not views_work(), reason="this system has no mount namespaces for users")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


def run(view: View, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a view."""
    root = tmp_path / "root"
    root.mkdir()
    command = view.command(["/bin/sh", "-c", script], root)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_views
@pytest.mark.parametrize("target", ["/opt/ml", "/var/task", "/codebuild/output", "/root"])
def test_private_folder_is_at_its_path(private: Path, tmp_path: Path, target: str) -> None:
    (private / "given").write_text("given")
    existed = Path(target).exists()
    view = View((Mount(private, target, writable=True),), target)
    ended = run(view, f"pwd && cat given && echo made > {target}/made", tmp_path)
    assert (ended.stdout, ended.stderr) == (f"{target}\ngiven", "")
    assert (private / "made").read_text() == "made\n"
    assert Path(target).exists() == existed


@needs_views
def test_everything_else_is_read_only(private: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    view = View((Mount(private, "/opt/ml"),), "/opt/ml")
    ended = run(view, f"touch {outside} || touch here || touch /usr/here || echo refused", tmp_path)
    assert ended.stdout == "refused\n"
    assert not outside.exists()


@needs_views
def test_interpreter_is_visible_below_a_mounted_home(private: Path, tmp_path: Path) -> None:
    home = "/" + Path(sys.base_prefix).parts[1]
    view = View((Mount(private, home),), "/")
    ended = run(view, f"{sys.executable} -c 'import boto3, json; print(json.dumps(1))'", tmp_path)
    assert ended.stdout == "1\n", ended.stderr


@needs_views
def test_command_that_cannot_run_is_reported(private: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    view = View((Mount(private, "/opt/ml"),), "/opt/ml")
    ended = subprocess.run(
        view.command(["absent-program"], root), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (127, "cannot run absent-program: No such file or directory\n")


@pytest.mark.parametrize("has_views", [pytest.param(True, marks=needs_views), False])
def test_checkpoint_folder_of_a_job(tmp_path: Path, has_views: bool) -> None:
    """Fault: nobody set SM_CHECKPOINT_DIR; SageMaker's folder is an argument, or literal where views work."""
    with Emulator(root=tmp_path, has_views=has_views).start() as emulator:
        make_bucket(emulator, "tests")
        statement = {"Effect": "Allow", "Action": ["s3:*", "logs:*"], "Resource": "*"}
        role = make_role(emulator, "jobs", "sagemaker.amazonaws.com", statement)
        literal = "'/opt/ml/checkpoints'" if has_views else "os.environ['CHECKPOINTS']"
        script = f"import os; assert 'SM_CHECKPOINT_DIR' not in os.environ; open({literal} + '/epoch', 'w')"
        request: dict[str, Any] = training_job(
            "checkpoints",
            script,
            RoleArn=role,
            Environment={"CHECKPOINTS": "/opt/ml/checkpoints"},
            CheckpointConfig={"S3Uri": "s3://tests/checkpoints"},
        )
        job = run_training(emulator.client("sagemaker"), request)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert emulator.client("s3").head_object(Bucket="tests", Key="checkpoints/epoch")
