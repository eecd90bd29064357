"""The container's folders and how S3 objects come there: names under a prefix, and re-rooted paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.app import Emulator
from emulator.services.sagemaker.storage import Storage, StorageError, pack, unpack
from emulator.services.sagemaker.tree import ContainerPathError, ContainerTree
from tests.emulator.services.sagemaker.conftest import BUCKET, archive


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("p/a/", ["b.txt", "deep/c.txt"]),
        ("p/a", ["ab.txt", "b.txt", "deep/c.txt"]),
        ("p/a/b.txt", ["b.txt"]),
        ("p/a/deep", ["c.txt"]),
    ],
)
def test_a_prefix_names_files_by_what_follows_it(
    emulator: Emulator, put: Callable[[str, str], str], tmp_path: Path, prefix: str, names: list[str]
) -> None:
    for key in ("p/a/b.txt", "p/a/deep/c.txt", "p/ab.txt", "p/a/folder-marker/"):
        put(key, "x")
    count = Storage(emulator.client("s3")).download_prefix(f"s3://{BUCKET}/{prefix}", tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert (found, count) == (names, len(names))


def test_a_key_never_leads_out_of_the_folder(
    emulator: Emulator, put: Callable[[str, str], str], tmp_path: Path
) -> None:
    put("q/../../escape.txt", "x")
    with pytest.raises(StorageError, match="leads out of its folder"):
        Storage(emulator.client("s3")).download_prefix(f"s3://{BUCKET}/q/", tmp_path / "in")


def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.tar.gz").write_bytes(archive({"../evil.txt": "x"}))
    with pytest.raises(StorageError, match=r"not a tar\.gz archive"):
        unpack(tmp_path / "evil.tar.gz", tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text("a")
    pack(tmp_path / "in", tmp_path / "x.tar.gz")
    unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "a.txt").read_text() == "a"


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
def test_only_the_container_s_own_path_is_rerooted_and_only_once(
    tmp_path: Path, text: str, rerooted: str
) -> None:
    tree = ContainerTree(tmp_path)
    expected = rerooted.replace("{}", str(tmp_path / "opt" / "ml"))
    assert tree.reroot(text) == expected
    assert tree.reroot(tree.reroot(text)) == expected


def test_driver_files_are_rerooted_and_binary_files_left_alone(tmp_path: Path) -> None:
    tree = ContainerTree(tmp_path)
    folder = tree.folder("/opt/ml/input/data/sm_drivers")
    (folder / "train.sh").write_text("cat /opt/ml/input/config/x.json\n")
    (folder / "blob").write_bytes(b"\xff\xfe/opt/ml/")
    tree.reroot_files("/opt/ml/input/data/sm_drivers")
    assert (folder / "train.sh").read_text() == f"cat {tmp_path}/opt/ml/input/config/x.json\n"
    assert (folder / "blob").read_bytes() == b"\xff\xfe/opt/ml/"


@pytest.mark.parametrize("path", ["/opt/ml/../x", "/tmp/x", "opt/ml/x", "/opt/mlx"])
def test_a_path_outside_opt_ml_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ContainerPathError, match="must be below /opt/ml"):
        ContainerTree(tmp_path).path(path)


def test_a_folder_with_spaces_gets_a_name_that_the_shell_leaves_whole(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    tree = ContainerTree(folder)
    assert " " not in str(tree.opt_ml)
    (tree.opt_ml / "x").write_text("x")
    assert (folder / "opt" / "ml" / "x").read_text() == "x"
    tree.close()
    assert not tree.root.parent.exists()
    assert not folder.exists()
