"""Make each prepared change of the program in a clone, and time its review.

    python bench/review.py [--json out/review.json]

The changes and their verdicts are those of tests/local/review/changes; the tests make the same changes to
recorded resources. CPU seconds are those of the command and its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from local.review.sources import GIT  # noqa: E402

TIMEOUT_S = 300
FOLDER = ROOT / "tests/local/review/changes"
CHANGES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))
}


def edit(folder: Path, change: Mapping[str, Any]) -> None:
    """Make a change of the program."""
    for step in change["program"]:
        source = folder / step.get("copy", step["file"])
        text = source.read_text(encoding="utf-8")
        if step["old"] not in text:
            raise SystemExit(f"{step['file']}: {step['old']!r} is not there: correct the change")
        (folder / step["file"]).write_text(text.replace(step["old"], step["new"], step.get("count", -1)))


def reviewed(folder: Path, stage: str) -> dict[str, Any]:
    """Review of the clone, with its duration."""
    command = [sys.executable, "-m", "local", "review", "--stage", stage, "--base", "main", "--json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
    )
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode != 0:
        raise SystemExit(ended.stderr)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(ended.stdout), "wall_s": round(wall_s, 1), "cpu_s": round(cpu_s, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary, "clone")
        subprocess.run([GIT, "clone", "--quiet", str(ROOT), str(clone)], check=True)
        subprocess.run([GIT, "checkout", "--quiet", "-B", "main"], cwd=clone, check=True)
        (clone / "build").mkdir()
        os.symlink(ROOT / "build/spark-packages.zip", clone / "build/spark-packages.zip")
        for name, change in CHANGES.items():
            edit(clone, change)
            found = results[name] = reviewed(clone, change.get("stage", "prod"))
            right = found["verdict"][0].startswith(change["first"]) and found["risks"] == change["risks"]
            found["right"] = right
            print(f"{name}: {'right' if right else 'WRONG'}, {found['wall_s']} s, {found['cpu_s']} CPU s")
            print(f"    {found['verdict'][0]}  {found['risks']}")
            subprocess.run([GIT, "checkout", "--quiet", "."], cwd=clone, check=True)
            subprocess.run([GIT, "clean", "--quiet", "-fd", "-e", "build"], cwd=clone, check=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1))
    return 0 if all(found["right"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
