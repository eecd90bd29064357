"""Local copies of S3 prefixes: download before a step, upload after it."""

from __future__ import annotations

from pathlib import Path

from emulator.app import Emulator
from emulator.services.emr.s3_mirror import S3Mirror
from tests.emulator.support import make_bucket


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
    assert "fs.viewfs.mounttable.mirrored.link./new" in mirror.core_site()
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
