"""Private ``/opt/ml`` of a container: re-rooted paths and folder names."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.services.sagemaker.container_files import ContainerFiles, ContainerPathError


@pytest.mark.parametrize(
    ("text", "rerooted"),
    [
        ("/opt/ml/model", "{}/model"),
        ("cd /opt/ml", "cd {}"),
        ("a=/opt/ml/x:/opt/ml/y", "a={}/x:{}/y"),
        ("'/opt/ml/output/failure'", "'{}/output/failure'"),
        ("file:///opt/ml/model/code", "file://{}/model/code"),
        ("s3://bucket/opt/ml/x", "s3://bucket/opt/ml/x"),
        ("/opt/mlflow", "/opt/mlflow"),
        ("/opt/ml-x", "/opt/ml-x"),
        ("/data/opt/ml/x", "/data/opt/ml/x"),
    ],
)
def test_only_opt_ml_is_rerooted_and_only_once(tmp_path: Path, text: str, rerooted: str) -> None:
    files = ContainerFiles(tmp_path, mounted=False)
    expected = rerooted.replace("{}", str(tmp_path / "opt" / "ml"))
    assert files.reroot(text) == expected
    assert files.reroot(files.reroot(text)) == expected


def test_text_files_are_rerooted_and_binary_files_are_not(tmp_path: Path) -> None:
    files = ContainerFiles(tmp_path, mounted=False)
    folder = files.folder("/opt/ml/input/data/sm_drivers")
    (folder / "train.sh").write_text("cat /opt/ml/input/config/x.json\n")
    (folder / "blob").write_bytes(b"\xff\xfe/opt/ml/")
    files.reroot_files("/opt/ml/input/data/sm_drivers")
    assert (folder / "train.sh").read_text() == f"cat {tmp_path}/opt/ml/input/config/x.json\n"
    assert (folder / "blob").read_bytes() == b"\xff\xfe/opt/ml/"


def test_nothing_is_rerooted_where_the_folder_is_mounted(tmp_path: Path) -> None:
    files = ContainerFiles(tmp_path, mounted=True)
    assert files.reroot("cd /opt/ml") == "cd /opt/ml"
    assert files.seen_path("/opt/ml/model") == "/opt/ml/model"


@pytest.mark.parametrize("path", ["/opt/ml/../x", "/tmp/x", "opt/ml/x", "/opt/mlx"])
def test_path_outside_opt_ml_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ContainerPathError, match="must be below /opt/ml"):
        ContainerFiles(tmp_path, mounted=False).path(path)


def test_folder_with_spaces_is_linked_under_a_name_without_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    files = ContainerFiles(folder, mounted=False)
    assert " " not in str(files.opt_ml)
    (files.opt_ml / "x").write_text("x")
    assert (folder / "opt" / "ml" / "x").read_text() == "x"
    files.close()
    assert not files.root.parent.exists()
    assert not folder.exists()
