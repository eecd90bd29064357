"""Snapshot of a stage in one version of the program: its resources and its configuration.

Run as a program, it takes the snapshots of the project in other folders and prints them as a JSON list. Each
folder has its version of the packages `stacks`, `components` and `ml`; all are previewed by this version of
`local`, in one process, because the import of the AWS provider's SDK takes most of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import hmac
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.deploy import schema
from local.deploy.errors import ProgramError, ProjectError
from local.deploy.project import Stage, load_stage
from local.errors import EXIT_BAD_INPUT, EXIT_FAILED
from local.preview import PreviewedResource, preview

PROGRAM_PACKAGES = ("stacks", "components", "ml")  # of the project that is previewed
SECRET_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A stage in one version of the program.

    Attributes:
        resources: parents before their children; empty for a stage that this version does not have.
        config: keys of the stage file and their values; sections are one key per field.
        effective: the same after validation, with the defaults of keys that the file leaves out.
        regional, taggable: types whose resources have the provider's region and default tags.
    """

    exists: bool = True
    stage: str = ""
    region: str = ""
    default_tags: dict[str, str] = field(default_factory=dict)
    resources: list[PreviewedResource] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    effective: dict[str, Any] = field(default_factory=dict)
    regional: list[str] = field(default_factory=list)
    taggable: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON value of `of_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Snapshot:
        """The snapshot of a JSON value."""
        return cls(**{**document, "resources": [_resource(each) for each in document["resources"]]})

    def custom(self) -> dict[str, PreviewedResource]:
        """Resources by URN, without components."""
        return {each.urn: each for each in self.resources if not each.is_component}


def _resource(document: Mapping[str, Any]) -> PreviewedResource:
    tuples = {key: tuple(document[key]) for key in ("ignore_changes", "replace_on_changes", "aliases")}
    return PreviewedResource(**{**document, **tuples})


def take(stage: str, root: Path, key: bytes) -> Snapshot:
    """Snapshot of a stage of the project in a folder.

    Args:
        key: secrets are shown as digests with this key, so that a changed secret shows and none is revealed.

    Raises:
        ProjectError: the stage's configuration is invalid.
        ProgramError: the program fails.
    """
    settings = load_stage(stage, root)
    resources = preview(stage, root, secret=masked(key))
    outputs = {each.type: schema.outputs(each.type) for each in resources if not each.is_component}
    return Snapshot(
        stage=settings.name,
        region=settings.region,
        default_tags=settings.default_tags,
        resources=resources,
        config=dict(flat({name: _parsed(text) for name, text in settings.config.items()})),
        effective=dict(flat(_effective(settings))),
        regional=sorted(type_ for type_, names in outputs.items() if "region" in names),
        taggable=sorted(type_ for type_, names in outputs.items() if "tagsAll" in names),
    )


def masked(key: bytes) -> Callable[[Any], str]:
    """Function that shows a secret as a digest."""

    def mask(value: Any) -> str:
        content = json.dumps(value, sort_keys=True, default=str).encode()
        return f"[secret {hmac.new(key, content, hashlib.sha256).hexdigest()[:SECRET_DIGITS]}]"

    return mask


def _effective(settings: Stage) -> dict[str, Any]:
    """Sections of the validated configuration, from the version of `stacks` that has just been previewed."""
    config = importlib.import_module("stacks.config")

    values = config.of_values(settings.config, project=settings.project, stage=settings.name)
    sections: dict[str, Any] = json.loads(values.model_dump_json(warnings=False))
    return {f"{settings.project}:{name}": value for name, value in sections.items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text or None


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted key and value of each field; an empty section is a value."""
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        found += (
            flat(item, f"{prefix}{key}.") if isinstance(item, dict) and item else [(f"{prefix}{key}", item)]
        )
    return found


@contextlib.contextmanager
def _packages_of(root: Path) -> Iterator[None]:
    """Import the program's packages from another folder, although this process has imported its own."""
    for name in [each for each in sys.modules if each.split(".")[0] in PROGRAM_PACKAGES]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.review.snapshot", description="Print snapshots.")
    parser.add_argument("stage")
    parser.add_argument("projects", nargs="+", help="name=folder of each version; errors have the name")
    args = parser.parse_args()
    key = bytes.fromhex(sys.stdin.read())
    found = []
    for project in args.projects:
        name, _, folder = project.partition("=")
        root = Path(folder).resolve()
        try:
            with _packages_of(root):
                found.append(take(args.stage, root, key).to_json())
        except (ProjectError, ProgramError) as error:
            print(f"{name}: {getattr(error, 'reason', error)}", file=sys.stderr)
            return EXIT_BAD_INPUT if isinstance(error, ProjectError) else EXIT_FAILED
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
