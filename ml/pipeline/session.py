"""Pipeline session of the SageMaker SDK that uploads under content-addressed keys."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import boto3
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.workflow.pipeline_context import PipelineSession

from ml import contract

DRIVERS_PREFIX = f"{contract.MODELS_PREFIX}drivers/"

# Without it the SDK sends telemetry, and reads default settings from configuration files of the machine.
SDK_CONFIG = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}

_validate = SageMakerConfig.validate_sagemaker_config


def _validate_others(sagemaker_config: dict[str, Any] | None = None) -> None:
    """Validate a configuration of the SDK; `SDK_CONFIG` is validated by the constructor of the session."""
    if sagemaker_config is not SDK_CONFIG:
        _validate(sagemaker_config)


# At each of the 50 look-ups of a definition, the SDK validates the configuration, and first its own schema:
# two thirds of the time that a definition takes.
SageMakerConfig.validate_sagemaker_config = staticmethod(_validate_others)


class DefinitionSession(PipelineSession):
    """Pipeline session with reproducible definitions: equal settings give equal definitions.

    The SDK packs drivers for its training container and uploads them under a key with a timestamp, each time
    a step is compiled. Here the key is a digest of the content, so that a definition changes only with its
    content, and each content is uploaded once. With ``upload=False`` nothing is written, and the definition
    can be compiled without an account.
    """

    def __init__(self, boto_session: boto3.Session, bucket: str, *, upload: bool = True) -> None:
        super().__init__(
            boto_session=boto_session,
            sagemaker_client=boto_session.client("sagemaker"),
            default_bucket=bucket,
            sagemaker_config=SDK_CONFIG,
        )
        self._bucket = bucket
        self._upload = upload
        self._uploaded: set[str] = set()

    def default_bucket(self) -> str:
        """The stage's artifacts bucket. It exists, so that nothing is looked up or created."""
        return self._bucket

    def upload_data(
        self,
        path: str,
        bucket: str | None = None,
        key_prefix: str = "",
        callback: Any = None,
        extra_args: dict[str, Any] | None = None,
    ) -> str:
        """The S3 URI of a folder's content, uploaded on the first call of this session."""
        with tempfile.TemporaryDirectory() as clean:
            shutil.copytree(
                path, clean, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
            key = f"{DRIVERS_PREFIX}{tree_digest(Path(clean))}/{Path(key_prefix).name}"
            if self._upload and key not in self._uploaded:
                super().upload_data(clean, bucket, key, callback, extra_args)
                self._uploaded.add(key)
        return f"s3://{bucket or self._bucket}/{key}"


def tree_digest(folder: Path) -> str:
    """Digest of the relative paths and contents of a folder's files: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
