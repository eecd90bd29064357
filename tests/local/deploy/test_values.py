"""Property values of the Pulumi protocol, assets and archives."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi
import pytest

from local.deploy import values


def test_integers_stay_integers() -> None:
    decoded = values.decode(values.encode({"n": 3, "x": 0.5, "deep": {"list": [1]}}))

    assert decoded == {"n": 3, "x": 0.5, "deep": {"list": [1]}}
    assert isinstance(decoded["n"], int)


def test_secrets_are_found_by_key_and_masked() -> None:
    struct = values.encode({"open": "a", "hidden": "b"}, {"hidden"})

    assert values.secret_keys(struct) == {"hidden"}
    assert values.decode(struct) == {"open": "a", "hidden": "b"}
    assert values.decode(struct, secret=lambda _: values.MASK) == {"open": "a", "hidden": "[secret]"}


def test_unknown_value_is_found_at_any_depth() -> None:
    assert values.is_unknown({"a": [{"b": values.UNKNOWN}]})
    assert not values.is_unknown({"a": [{"b": "known"}]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code" / "inner").mkdir(parents=True)
    (tmp_path / "code" / "b.py").write_text("b")
    (tmp_path / "code" / "inner" / "a.py").write_text("a")
    return tmp_path


def test_archive_entries_are_sorted(folder: Path) -> None:
    archive = pulumi.AssetArchive(
        {
            "z": pulumi.StringAsset("z"),
            "lib": pulumi.FileArchive("code"),
            "b.py": pulumi.FileAsset("code/b.py"),
        }
    )

    entries = values.archive_entries(archive, folder)

    assert list(entries.items()) == [
        ("b.py", b"b"),
        ("lib/b.py", b"b"),
        ("lib/inner/a.py", b"a"),
        ("z", b"z"),
    ]


def test_fingerprint_depends_on_content_only(folder: Path) -> None:
    before = values.fingerprint(pulumi.FileArchive("code"), folder)
    os.utime(folder / "code" / "b.py", (0, 0))

    assert values.fingerprint(pulumi.FileArchive("code"), folder) == before

    (folder / "code" / "b.py").write_text("c")
    assert values.fingerprint(pulumi.FileArchive("code"), folder)["sha256"] != before["sha256"]


def test_fingerprint_has_the_relative_path(folder: Path) -> None:
    shown = values.fingerprint(pulumi.FileAsset(str(folder / "code" / "b.py")), folder)

    assert (shown["path"], shown["bytes"]) == ("code/b.py", 1)


@pytest.mark.parametrize(
    "asset", [pulumi.RemoteAsset("https://example.com/x"), pulumi.RemoteArchive("https://example.com/x")]
)
def test_remote_asset_is_refused(asset: pulumi.Asset | pulumi.Archive, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"https://example\.com/x.*offline"):
        values.fingerprint(asset, tmp_path)
