"""Changes with a known verdict: files in `changes/`.

Each is an edit of the program, which `bench/review.py` makes in a worktree, and the same as an edit of a
recorded snapshot, which takes no second preview.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from local.preview import PreviewedResource
from local.review.snapshot import Snapshot
from policies.model import label

FOLDER = Path(__file__).with_name("changes")
CHANGES: Mapping[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))
}


def changed(before: Snapshot, change: Mapping[str, Any]) -> Snapshot:
    """The snapshot after a change."""
    after = copy.deepcopy(before)
    for edit in change.get("resources", ()):
        ((kind, value),) = edit.items()
        after = EDITS[kind](after, value)
    return after


def _rename(after: Snapshot, names: Mapping[str, str]) -> Snapshot:
    text = json.dumps(after.to_json())
    for old, new in names.items():
        text = re.sub(r"\$\{" + old + r"([.}])", rf"${{{new}\1", text)
        of_bucket = "versioning|encryption|events|lifecycle|ownership|public-access|tls-only"
        children = f"(|-(?:alias|policy|{of_bucket}))"
        text = re.sub(rf'"name": "{old}{children}"', rf'"name": "{new}\1"', text)
        text = re.sub(rf'::{old}{children}"', rf'::{new}\1"', text)
    return Snapshot.of_json(json.loads(text))


def _set(after: Snapshot, value: Mapping[str, Any]) -> Snapshot:
    _find(after, value["resource"]).inputs.update(value["inputs"])
    return after


def _delete(after: Snapshot, labels: list[str]) -> Snapshot:
    gone = {_find(after, each).urn for each in labels}
    return replace(after, resources=[each for each in after.resources if each.urn not in gone])


def _grant(after: Snapshot, value: Mapping[str, Any]) -> Snapshot:
    resource = _find(after, value["resource"])
    document = json.loads(resource.inputs["policy"])
    (statement,) = [each for each in document["Statement"] if value["at"] in each["Resource"]]
    statement["Action"].append(value["action"])
    resource.inputs["policy"] = json.dumps(document)
    return after


def _replace_text(after: Snapshot, value: Mapping[str, str]) -> Snapshot:
    resource = _find(after, value["resource"])
    resource.inputs.update(json.loads(json.dumps(resource.inputs).replace(value["old"], value["new"])))
    return after


def _retag(after: Snapshot, tags: Mapping[str, list[str]]) -> Snapshot:
    text = json.dumps(after.to_json())
    for key, (old, new) in tags.items():
        for form in (f'{key}": "{{}}"', f'"Key": "{key}", "Value": "{{}}"'):
            for depth in (0, 1, 2):  # documents inside documents
                pair = [form.format(each) for each in (old, new)]
                for _ in range(depth):
                    pair = [json.dumps(each)[1:-1] for each in pair]
                text = text.replace(*pair)
    return Snapshot.of_json(json.loads(text))


EDITS = {
    "rename": _rename,
    "set": _set,
    "delete": _delete,
    "grant": _grant,
    "replace_text": _replace_text,
    "retag": _retag,
}


def _find(snapshot: Snapshot, wanted: str) -> PreviewedResource:
    (found,) = [each for each in snapshot.resources if label(each) == wanted]
    return found
