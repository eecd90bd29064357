"""Input templates of EventBridge targets: their placeholders, and templates that PutTargets refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")
RESERVED = (  # EventBridge user guide, "Amazon EventBridge input transformation", predefined variables
    *("aws.events.rule-arn", "aws.events.rule-name", "aws.events.event", "aws.events.event.json"),
    "aws.events.event.ingestion-time",
)


def template_error(template: str, names: Iterable[str]) -> str | None:
    """Why PutTargets refuses a template; None if it does not.

    Args:
        template: InputTemplate.
        names: variables of InputPathsMap.
    """
    known = {*names, *RESERVED}
    unknown = [name for name in PLACEHOLDER.findall(template) if name not in known]
    if unknown:
        return f"contains invalid placeholder {unknown[0]}"
    if re.search(rf'"[^"]*{PLACEHOLDER.pattern}[^"]*"\s*:', template):
        return "has a placeholder as an object key"
    sample = "".join(PLACEHOLDER.sub("x" if quoted else "0", text) for text, quoted in parts(template))
    lines = [line for line in sample.splitlines() if line.strip()]
    if not (is_json(sample) or (lines and all(line.strip()[0] == '"' and is_json(line) for line in lines))):
        return "is not valid JSON: strings need quotes"
    return None


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parts(template: str) -> Iterator[tuple[str, bool]]:
    """(text, whether it is inside a JSON string) for each part of the template."""
    quoted, start, position = False, 0, 0
    while position < len(template):
        if template[position] == "\\" and quoted:
            position += 2
            continue
        if template[position] == '"':
            yield template[start:position], quoted
            yield '"', False
            quoted, start = not quoted, position + 1
        position += 1
    yield template[start:], quoted
