"""Local copies of S3 prefixes: download before a step, objects and events while it runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from emulator.app import Emulator
from emulator.services.emr.s3_mirror import S3Mirror
from tests.emulator.support import make_bucket, make_queue, make_rule, receive, rule_arn
from tests.polling import eventually


def test_upload_stores_changed_files_and_deletes_removed_ones(emulator: Emulator, tmp_path: Path) -> None:
    make_bucket(emulator, "mirrored")
    s3 = emulator.client("s3")
    for key in ("in/a", "in/b", "in2/c", "in/deep/d", "top"):
        s3.put_object(Bucket="mirrored", Key=key, Body=key.encode())
    mirror = S3Mirror(s3, tmp_path)
    assert mirror.download(["s3://mirrored/in/", "s3://mirrored/top", "s3a://mirrored/new/"]) == 4
    folder = tmp_path / "mirrored"
    assert not (folder / "in2").exists()
    assert (folder / "new").is_dir()
    assert "fs.viewfs.mounttable.mirrored.link./new" in mirror.hadoop_settings()
    (folder / "in" / "a").write_text("changed")
    (folder / "in" / "b").unlink()
    (folder / "new" / "_SUCCESS").write_text("")
    (folder / "new" / "part").write_text("part")
    (folder / "new" / ".part.crc").write_text("sum")
    assert mirror.upload() == [
        "s3://mirrored/in/a",
        "s3://mirrored/new/part",
        "s3://mirrored/new/_SUCCESS",
    ]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="mirrored")["Contents"]]
    assert keys == ["in/a", "in/deep/d", "in2/c", "new/_SUCCESS", "new/part", "top"]
    assert mirror.upload() == []


def test_file_is_an_object_when_it_is_written(emulator: Emulator, tmp_path: Path) -> None:
    make_bucket(emulator, "followed")
    s3 = emulator.client("s3")
    s3.put_object(Bucket="followed", Key="in/old", Body=b"old")
    mirror = S3Mirror(s3, tmp_path)
    mirror.download(["s3://followed/in/", "s3://followed/out/"])
    out, stored = tmp_path / "followed" / "out", []

    def keys() -> list[str]:
        return [found["Key"] for found in s3.list_objects_v2(Bucket="followed").get("Contents", [])]

    with mirror.following(stored.append):
        (out / "_unfinished" / "train" / "_temporary").mkdir(parents=True)
        (out / "_unfinished" / "train" / "_temporary" / "part").write_text("rows")
        (out / "_unfinished" / "train" / "_temporary" / "part").rename(out / "_unfinished" / "train" / "part")
        (out / "_unfinished" / "train" / "_SUCCESS").touch()
        eventually(lambda: "out/_unfinished/train/_SUCCESS" in keys(), 10, "the marker is an object")
        assert keys() == ["in/old", "out/_unfinished/train/_SUCCESS", "out/_unfinished/train/part"]
        with (out / "open").open("w") as file:
            file.write("half")
            file.flush()
            (tmp_path / "followed" / "in" / "old").unlink()
            eventually(lambda: "in/old" not in keys(), 10, "the object is deleted")
            assert "out/open" not in keys()
        (out / "_unfinished" / "train").rename(out / "train")
        shutil.rmtree(out / "_unfinished")
        (out / "_SUCCESS").touch()
    assert keys() == ["out/_SUCCESS", "out/open", "out/train/_SUCCESS", "out/train/part"]
    assert stored[-1] == "s3://followed/out/_SUCCESS"
    assert mirror.upload() == []


def test_marker_in_an_unfinished_folder_has_its_event(emulator: Emulator, tmp_path: Path) -> None:
    """Fault: markers of Spark's staging folders matched the event rule, and no event was sent for them."""
    make_bucket(emulator, "staged", events=True)
    url, queue = make_queue(emulator, "markers", rule_arn(emulator, "markers"))
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"wildcard": "prepared/*/_SUCCESS"}]}}}
    make_rule(emulator, "markers", pattern, {"Arn": queue, "InputPath": "$.detail.object.key"})
    mirror = S3Mirror(emulator.client("s3"), tmp_path)
    mirror.download(["s3://staged/prepared/"])
    run = tmp_path / "staged" / "prepared" / "run=1"
    with mirror.following(lambda _: None):
        for folder in (run / "_unfinished" / "train", run):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "_SUCCESS").touch()
        markers = {json.loads(receive(emulator, url)["Body"]) for _ in range(2)}
        shutil.rmtree(run / "_unfinished")
    assert markers == {"prepared/run=1/_unfinished/train/_SUCCESS", "prepared/run=1/_SUCCESS"}
