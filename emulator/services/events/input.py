"""Input of a target: the whole event, a constant, a part of the event, or a filled template.

EventBridge user guide, "Amazon EventBridge input transformation".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonpath_ng.parser import parse as parse_path

PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")


def render_input(target: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, str]) -> str:
    """Render the input of a target: JSON, or other text if the input template is not JSON.

    Args:
        target: as in PutTargets.
        rule: ``arn`` and ``name`` of the rule.
    """
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_find(target["InputPath"], event))
    if transformer := target.get("InputTransformer"):
        values = {name: _find(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
        return fill(transformer["InputTemplate"], {**values, **_reserved(event, rule)})
    return json.dumps(event)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Fill the placeholders of a template.

    Outside quotes a placeholder becomes a JSON value; inside quotes its text, escaped; a path that is not in
    the event becomes the empty string. Undefined placeholders are kept.
    """
    return "".join(_fill_part(text, values, quoted) for text, quoted in _parts(template))


def _fill_part(text: str, values: Mapping[str, Any], quoted: bool) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        value = "" if values[match[1]] is None else values[match[1]]
        if not quoted:
            return json.dumps(value)
        inner = value if isinstance(value, str) else json.dumps(value)
        return json.dumps(inner)[1:-1]

    return PLACEHOLDER.sub(replace, text)


def _parts(template: str) -> Iterator[tuple[str, bool]]:
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


def _find(path: str, event: Mapping[str, Any]) -> Any:
    found = parse_path(_quoted_fields(path)).find(event)
    return found[0].value if found else None


def _quoted_fields(path: str) -> str:
    """Quote path segments with a dash, such as ``$.detail-type``, for jsonpath-ng."""
    return re.sub(r"\.([A-Za-z_][\w]*-[\w-]*)", r'."\1"', path)


def _reserved(event: Mapping[str, Any], rule: Mapping[str, str]) -> dict[str, Any]:
    without_detail = {name: value for name, value in event.items() if name != "detail"}
    return {
        "aws.events.rule-arn": rule["arn"],
        "aws.events.rule-name": rule["name"],
        "aws.events.event": without_detail,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event["time"],
    }
