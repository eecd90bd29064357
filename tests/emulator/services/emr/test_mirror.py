"""The files of a step: what is fetched for it, and what it brings back."""

from __future__ import annotations

from pathlib import Path

from emulator.app import Emulator
from emulator.services.emr.mirror import Mirror
from tests.emulator.support import make_bucket


def test_a_mirror_brings_back_what_changed_and_nothing_else(emulator: Emulator, tmp_path: Path) -> None:
    make_bucket(emulator, "mirrored")
    s3 = emulator.client("s3")
    for key in ("in/a", "in/b", "in2/c", "in/deep/d", "top"):
        s3.put_object(Bucket="mirrored", Key=key, Body=key.encode())
    mirror = Mirror(s3, tmp_path)
    assert mirror.fetch(["s3://mirrored/in/", "s3://mirrored/top", "s3a://mirrored/new/"]) == 4
    folder = tmp_path / "mirrored"
    assert not (folder / "in2").exists()
    assert (folder / "new").is_dir()
    assert "fs.viewfs.mounttable.mirrored.link./new" in mirror.core_site()
    (folder / "in" / "a").write_text("changed")
    (folder / "in" / "b").unlink()
    (folder / "new" / "_SUCCESS").write_text("")
    (folder / "new" / "part").write_text("part")
    (folder / "new" / ".part.crc").write_text("sum")
    assert mirror.push() == [
        "s3://mirrored/in/a",
        "s3://mirrored/new/part",
        "s3://mirrored/new/_SUCCESS",
    ]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="mirrored")["Contents"]]
    assert keys == ["in/a", "in/deep/d", "in2/c", "new/_SUCCESS", "new/part", "top"]
    assert mirror.push() == []
