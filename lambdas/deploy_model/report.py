"""Warnings of a package's evaluation report, as metadata of the package."""

from __future__ import annotations

import json
import re
from typing import Any

from logic import EventError, Package

MAX_VALUE = 256  # SageMaker API, CustomerMetadataValue
NOT_IN_VALUE = re.compile(r"[^\w .:/=+@-]")  # SageMaker API, pattern of CustomerMetadataValue


def read_warnings(client: Any, package: Package) -> str:
    """Warnings in the report of a package; empty if it has no report.

    Raises:
        EventError: the object is not an evaluation report.
    """
    if package.report_uri is None:
        return ""
    bucket, _, key = package.report_uri.removeprefix("s3://").partition("/")
    return metadata_value(client.get_object(Bucket=bucket, Key=key)["Body"].read())


def metadata_value(report: bytes) -> str:
    """Warnings of an evaluation report as a metadata value; empty without warnings.

    Raises:
        EventError: the content is not an evaluation report.
    """
    try:
        warnings = [str(warning) for warning in json.loads(report)["warnings"]]
    except (KeyError, TypeError, ValueError) as error:
        raise EventError(f"not an evaluation report ({error!r})") from None
    return NOT_IN_VALUE.sub("-", " - ".join(warnings))[:MAX_VALUE]
