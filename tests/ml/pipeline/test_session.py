"""Session that compiles the definition: digests of what it uploads, and the configuration of the SDK."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import ValidationError

from ml.pipeline.session import SDK_CONFIG, tree_digest


def test_digest_depends_only_on_names_and_contents(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, bytes]) -> Path:
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        return tmp_path / name

    digest = tree_digest(folder("one", {"a": b"1", "b/c": b"2"}))
    assert tree_digest(folder("same", {"b/c": b"2", "a": b"1"})) == digest
    assert tree_digest(folder("renamed", {"a": b"1", "b/d": b"2"})) != digest
    assert tree_digest(folder("changed", {"a": b"1", "b/c": b"3"})) != digest


@pytest.mark.filterwarnings("ignore:::sagemaker")  # deprecation warnings inside the SDK
def test_other_configurations_than_that_of_the_session_are_validated() -> None:
    from sagemaker.core.config.config_manager import SageMakerConfig  # importing the SDK needs a region

    SageMakerConfig.validate_sagemaker_config({**SDK_CONFIG})
    with pytest.raises(ValidationError, match=r"2\.0"):
        SageMakerConfig.validate_sagemaker_config({**SDK_CONFIG, "SchemaVersion": "2.0"})
