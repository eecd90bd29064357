"""Input of a target: the whole event, a constant, a part of the event, or a filled template.

EventBridge user guide, "Amazon EventBridge input transformation", with its "Common issues with transforming
input".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonpath_ng.parser import parse as parse_path

from emulator.validation.event_templates import PLACEHOLDER, parts


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
        return fill(transformer["InputTemplate"], values, _reserved(event, rule))
    return json.dumps(event)


def fill(template: str, values: Mapping[str, Any], reserved: Mapping[str, Any] | None = None) -> str:
    """Fill the placeholders of a template, as the user guide and the API reference (InputTransformer) say.

    Outside quotes a placeholder becomes a JSON value. Inside quotes it becomes text: "EventBridge doesn't
    escape values extracted by Input Path", so that a quote in a value ends the string, and "removes any
    internal quotes" of an object or array. A path that is not in the event becomes the empty string.
    Undefined placeholders are kept. Valid JSON is sent minified.

    Args:
        template: InputTemplate.
        values: of the variables.
        reserved: values of the predefined variables; objects among them keep their quotes inside quotes.
    """
    predefined = reserved or {}
    known = {**values, **predefined}

    def filled(text: str, quoted: bool) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name not in known:
                return match[0]
            value = "" if known[name] is None else known[name]
            if not quoted:
                return json.dumps(value)
            if isinstance(value, str):
                return value
            inner = json.dumps(value)
            return inner if name in predefined else inner.replace('"', "")

        return PLACEHOLDER.sub(replace, text)

    return _minified("".join(filled(text, quoted) for text, quoted in parts(template)))


def _minified(text: str) -> str:
    try:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    except ValueError:  # the target decides
        return text


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
