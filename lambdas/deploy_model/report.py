"""Warnings and gate decision of a package's evaluation report, as metadata of the package."""

from __future__ import annotations

import json
import re
from typing import Any

from logic import GATE, WARNINGS, EventError, Package

MAX_VALUE = 256  # SageMaker API, CustomerMetadataValue
NOT_IN_VALUE = re.compile(r"[^\w .:/=+@-]")  # SageMaker API, pattern of CustomerMetadataValue


def read_metadata(client: Any, package: Package) -> dict[str, str]:
    """Metadata from the report of a package; empty if it has no report.

    Raises:
        EventError: the object is not an evaluation report.
    """
    if package.report_uri is None:
        return {}
    bucket, _, key = package.report_uri.removeprefix("s3://").partition("/")
    return metadata_of(client.get_object(Bucket=bucket, Key=key)["Body"].read())


def metadata_of(report: bytes) -> dict[str, str]:
    """Warnings and decision of an evaluation report, without those that it does not have.

    Raises:
        EventError: the content is not an evaluation report.
    """
    try:
        document = json.loads(report)
        warnings = [str(warning) for warning in document["warnings"]]
        decision = _decision(document.get("gate") or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EventError(f"not an evaluation report ({error!r})") from None
    texts = {WARNINGS: " - ".join(warnings), GATE: decision}
    return {key: NOT_IN_VALUE.sub("-", text)[:MAX_VALUE] for key, text in texts.items() if text}


def _decision(gate: dict[str, Any]) -> str:
    """Decision and change of each metric with its bounds; empty for a report of an earlier version."""
    changes = [
        "{} {:+.4f} from {:+.4f} to {:+.4f}".format(key, of["change"], *of["bounds"])
        for key, of in gate.get("metrics", {}).items()
        if "change" in of
    ]
    return " - ".join([str(gate.get("decision", "")), *changes])
