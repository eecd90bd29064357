"""Limits of Lambda functions: name, environment, time, memory, layers and package."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator import moto_state
from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

Parameters = Mapping[str, Any]
Check = Callable[[Parameters, str], Iterator[Violation]]

# Lambda quotas
MAX_FUNCTION_NAME = 64  # API reference, CreateFunction: FunctionName without the ARN
MAX_ENVIRONMENT_BYTES = 4_096  # environment variables of a function
MAX_TIMEOUT_S = 900  # function timeout; the model has the timeout of Lambda managed instances
MAX_MEMORY_MIB = 10_240  # memory allocation
MAX_LAYERS = 5
MAX_ZIP_BYTES = 50 * 2**20  # deployment package in a request
MAX_UNZIPPED_BYTES = 262_144_000  # deployment package, unzipped
# Lambda developer guide, "Defined runtime environment variables": reserved ones.
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)


def _function(parameters: Parameters, _region: str) -> Iterator[Violation]:
    name = str(parameters.get("FunctionName", "")).rpartition(":")[2]
    if len(name) > MAX_FUNCTION_NAME:
        text = f"Member must have length less than or equal to {MAX_FUNCTION_NAME}"
        yield Violation("functionName", "length", text, name)
    for member, limit in (("Timeout", MAX_TIMEOUT_S), ("MemorySize", MAX_MEMORY_MIB)):
        if (value := parameters.get(member)) is not None and value > limit:
            text = f"Member must have value less than or equal to {limit}"
            yield Violation(member[0].lower() + member[1:], "range", text, str(value))
    if len(parameters.get("Layers") or []) > MAX_LAYERS:
        raise _invalid_value(f"Cannot reference more than {MAX_LAYERS} layers.")
    _check_environment((parameters.get("Environment") or {}).get("Variables") or {})


def _check_environment(variables: Mapping[str, str]) -> None:
    prefix = (
        "Lambda was unable to configure your environment variables because the environment variables you "
    )
    if reserved := sorted(RESERVED_VARIABLES & set(variables)):
        raise _invalid_value(
            f"{prefix}have provided contains reserved keys that are currently not supported for "
            f"modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > MAX_ENVIRONMENT_BYTES:
        raise _invalid_value(f"{prefix}have provided exceeded the 4KB limit. String measured: {measured}")


def _package(parameters: Parameters, region: str) -> Iterator[Violation]:
    code = parameters.get("Code") or parameters
    content = b64decode(code.get("ZipFile") or "")
    if len(content) > MAX_ZIP_BYTES:
        text = f"Request must be smaller than {MAX_ZIP_BYTES} bytes for the operation"
        raise ServiceError("RequestEntityTooLargeException", text, 413)
    if bucket := code.get("S3Bucket"):
        stored = moto_state.backend("s3", region).get_object(
            bucket, code["S3Key"], code.get("S3ObjectVersion")
        )
        content = stored.value if stored else b""
    if _unzipped_bytes(content) > MAX_UNZIPPED_BYTES:
        raise _invalid_value(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    yield from ()


def _unzipped_bytes(content: bytes) -> int:
    """Size of the files of a package; 0 for what is not a zip file, which Lambda's other checks refuse."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return 0


def _invalid_value(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message)


CHECKS: Mapping[tuple[str, str], tuple[Check, ...]] = {
    ("lambda", "CreateFunction"): (_function, _package),
    ("lambda", "UpdateFunctionCode"): (_package,),
    ("lambda", "UpdateFunctionConfiguration"): (_function,),
}
