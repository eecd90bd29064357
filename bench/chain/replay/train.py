"""Recorded training job: reads its run as the real one does, then writes the recorded log and artifact.

The run is read and checked by `ml.ncf.data.prepared_run`, and every error ends the job as `ml.ncf.jobs` ends
it. Each line of the log comes at its recorded moment; checkpoints are written with the lines, and the files
of the artifact between the last line and the recorded end, `model.json` last.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.chain.replay.recorded import RUN_ID, Recording, StepClock, own_recording
from ml import manifest as manifests
from ml.contract import ENV_RUN_ID, MANIFEST_FILE
from ml.ncf.data.prepared_run import read_run
from ml.ncf.jobs.exit_reason import JobExit, stop_on_sigterm
from ml.ncf.training.console import log

CHECKPOINT = "recorded.txt"


def main(argv: list[str] | None = None) -> int:
    """Replay the training on the run of the environment's channels; returns the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    output = os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    parser.add_argument("--output-data-dir", type=Path, default=output)
    parser.add_argument("--checkpoint-dir", type=Path)
    arguments, _ = parser.parse_known_args(argv)
    with JobExit(
        "training", Path(arguments.output_data_dir).parent / "failure", (ValueError, OSError)
    ) as job:
        train(Path(arguments.model_dir), arguments.checkpoint_dir, own_recording())
    return job.status


def train(model_dir: Path, checkpoints: Path | None, recording: Recording) -> None:
    """Check the run, and write log, checkpoints and artifact.

    Raises:
        ValueError, OSError: as the real job, or the training was not recorded.
    """
    clock = StepClock(recording.index["scale"])
    run = read_run(channel)
    manifest = manifests.load(channel("manifest") / MANIFEST_FILE)
    splits = [manifest.files[name].sha256 for name in manifest.split_files("train")]
    recorded = recording.model(splits[0])
    for seconds, line in recorded["log"]:
        clock.wait_until(seconds)
        log(line)
        if checkpoints is not None:
            _write_checkpoint(checkpoints, line)
    run_id = os.environ.get(ENV_RUN_ID, run.run_id)
    _write_artifact(model_dir, run_id, recorded, recording, clock)


def _write_checkpoint(folder: Path, content: str) -> None:
    """Replace the checkpoint in one step, as the real job does: SageMaker may read it at any moment."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{CHECKPOINT}.new"
    new.write_text(content, encoding="utf-8")
    new.replace(folder / CHECKPOINT)


def _write_artifact(
    folder: Path, run_id: str, recorded: Mapping[str, Any], recording: Recording, clock: StepClock
) -> None:
    files = list(recording.files(f"models/{recorded['name']}/"))
    last_line_s = recorded["log"][-1][0] if recorded["log"] else 0.0
    for number, (name, content) in enumerate(files, 1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(RUN_ID.encode(), run_id.encode()))
        clock.wait_until(last_line_s + (recorded["seconds"] - last_line_s) * number / len(files))


def channel(name: str) -> Path:
    """The folder of an input channel."""
    return Path(os.environ[f"SM_CHANNEL_{name.upper()}"])


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
