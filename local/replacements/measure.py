"""Measure which inputs force a replacement, by planning a change of each with the AWS provider.

The provider's schema does not say it, its plan does. For each input of each resource type of the stages,
three changes are planned: another value, a value where there was none, and none where there was one. Needs
the program of terraform-provider-aws; no AWS account and no network:

    python -m local.replacements.measure terraform-provider-aws_v5.100.0_x5 --version 5.100.0
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.deploy.project import stages
from local.preview import ROOT, preview
from local.replacements import plugin, shapes
from local.replacements.inputs import input_paths, terraform_path
from local.replacements.names import terraform_type
from local.replacements.plugin import Plugin, PluginError, PluginGoneError
from local.replacements.table import TABLE

# Settings of the AWS provider with which it makes no request.
SETTINGS = {
    "region": "ap-northeast-2",
    "access_key": "none",
    "secret_key": "none",
    "skip_credentials_validation": True,
    "skip_requesting_account_id": True,
    "skip_metadata_api_check": "true",
}
CHANGES: Sequence[tuple[int | None, int | None]] = ((0, 1), (None, 1), (0, None))  # places in a pair
# Inputs that pulumi-aws 7 has and provider 5 does not, to what the provider's documentation says.
DOCUMENTED = {"region": True}  # "Enhanced region support" of provider 6: another region is another resource


class Provider:
    """A provider plug-in that is started again after a crash."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._plugin: Plugin
        self._running: Any
        self.blocks: dict[str, Any] = {}

    def __enter__(self) -> Provider:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    def _start(self) -> None:
        self._running = plugin.running(self._program)
        started = self._running.__enter__()
        settings, self.blocks = started.schema()
        absent: dict[str, Any] = {
            each.type_name: None if each.nesting == shapes.SINGLE else [] for each in settings.block_types
        }
        started.configure({each.name: SETTINGS.get(each.name) for each in settings.attributes} | absent)
        self._plugin = started

    def forces_replacement(self, kind: str, path: tuple[str, ...]) -> bool | None:
        """Whether any change of a path replaces the resource; None if no change could be planned."""
        answers = {self._change(kind, path, before, after) for before, after in CHANGES}
        return True if True in answers else False if False in answers else None

    def _change(self, kind: str, path: tuple[str, ...], before: int | None, after: int | None) -> bool | None:
        """Whether the change replaces; None without a pair of values that the provider takes for a change."""
        for pair in shapes.STRINGS:
            try:
                answer = self._planned(kind, path, pair, before, after)
            except PluginGoneError:
                self.__exit__()
                self._start()
                return None
            except PluginError:
                continue
            if answer is not None:
                return answer
        return None

    def _planned(
        self, kind: str, path: tuple[str, ...], pair: tuple[str, str], before: int | None, after: int | None
    ) -> bool | None:
        block, needed = self.blocks[kind], shapes.NEEDED.get(kind, {})
        old, new = (
            shapes.config(block, shapes.Setting(path, pair, place, needed)) for place in (before, after)
        )
        creation = self._plugin.plan(kind, None, shapes.proposed(block, old, shapes.nothing(block)), old)
        prior = shapes.created(block, creation.state)
        unchanged = self._plugin.plan(kind, prior, shapes.proposed(block, old, prior), old)
        if unchanged.replaced_by:
            raise PluginError(f"{kind}: an unchanged configuration is a replacement")
        planned = self._plugin.plan(kind, prior, shapes.proposed(block, new, prior), new)
        if planned.replaced_by:
            return True
        return False if planned.state.get(path[0]) != prior[path[0]] else None


def measure(provider: Provider, type_token: str) -> dict[str, list[str]]:
    """Inputs of a type by the effect of a change: `replaces`, `updates`, or `unknown`."""
    kind = terraform_type(type_token)
    by_target: dict[tuple[str, ...], bool | None] = {}
    answers: dict[tuple[str, ...], bool | None] = {}
    for path in input_paths(type_token):
        try:
            target = terraform_path(path, provider.blocks[kind], kind)
        except LookupError:
            answers[path] = DOCUMENTED.get(path[0])
            continue
        if target not in by_target:
            by_target[target] = provider.forces_replacement(kind, target)
        answers[path] = by_target[target]
    found: dict[str, list[str]] = {"replaces": [], "updates": [], "unknown": []}
    for path, answer in answers.items():
        effect = _block_answer(path, answers) if answer is None else answer
        found["unknown" if effect is None else "replaces" if effect else "updates"].append(".".join(path))
    return found


def _block_answer(path: tuple[str, ...], answers: Mapping[tuple[str, ...], bool | None]) -> bool | None:
    """Effect of a block that is no change without fields: that of its fields, if they agree."""
    below = {
        answer for each, answer in answers.items() if len(each) > len(path) and each[: len(path)] == path
    }
    return below.pop() if len(below) == 1 else None


def types_of_the_stages() -> Iterator[str]:
    """Types of AWS resources in all stages, sorted."""
    every = {each.type for stage in stages(ROOT) for each in preview(stage) if not each.is_component}
    yield from sorted(every)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.replacements.measure", description=__doc__)
    parser.add_argument("program", type=Path, help="program of terraform-provider-aws")
    parser.add_argument("--version", required=True, help="its version")
    args = parser.parse_args()
    with Provider(args.program) as provider:
        types = {type_token: measure(provider, type_token) for type_token in types_of_the_stages()}
    document = {
        "source": f"plans of terraform-provider-aws {args.version} (plug-in protocol 5)",
        "inputs_of": f"pulumi-aws {importlib.metadata.version('pulumi-aws')}",
        "documented": sorted(DOCUMENTED),
        "types": types,
    }
    TABLE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for type_token, found in types.items():
        print(f"{type_token}: {', '.join(f'{len(paths)} {effect}' for effect, paths in found.items())}")


if __name__ == "__main__":
    main()
