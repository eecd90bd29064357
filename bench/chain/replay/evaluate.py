"""Recorded evaluation job: reads run, candidate and champion, then writes the recorded report of the two.

Run and champion are read by the product's code, and every error ends the job as `ml.ncf.jobs` ends it. A
champion that cannot be read counts as absent, with a warning, as in the real job.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.chain.replay.artifact import RECORDED
from bench.chain.replay.recorded import RUN_ID, Recording, StepClock, own_recording
from ml.contract import EVALUATION_FILE, MODEL_ARCHIVE
from ml.ncf.data.prepared_run import read_run
from ml.ncf.evaluation import champion
from ml.ncf.jobs import published_metrics
from ml.ncf.jobs.exit_reason import JobExit, stop_on_sigterm
from ml.ncf.model import artifact
from ml.ncf.training.console import log
from ml.settings.containers import PROCESSING_EVALUATION, PROCESSING_INPUT, PROCESSING_MESSAGE

CHAMPION_ARN = "CHAMPION_ARN"  # in recorded text


def main(argv: list[str] | None = None) -> int:
    """Replay the evaluation; returns the exit status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--input", type=Path, default=Path(PROCESSING_INPUT))
    parser.add_argument("--output", type=Path, default=Path(PROCESSING_EVALUATION))
    parser.add_argument("--model-package-group")
    parser.add_argument("--stage")
    arguments, _ = parser.parse_known_args(argv)
    with JobExit("evaluation", Path(PROCESSING_MESSAGE), (ValueError, OSError)) as job:
        group, stage = arguments.model_package_group, arguments.stage
        evaluate(arguments.input, arguments.output, group, stage, own_recording())
    return job.status


def evaluate(folder: Path, output: Path, group: str, stage: str | None, recording: Recording) -> None:
    """Check the inputs and write the recorded files.

    Raises:
        ValueError, OSError: as the real job, or the evaluation was not recorded.
    """
    clock = StepClock(recording.index["scale"])
    run = read_run(lambda channel: folder / channel)
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        try:
            current, warnings = champion.find(group, workspace), []
        except (champion.ChampionError, artifact.ArtifactError) as error:
            current, warnings = None, [f"the champion counts as absent: {error}"]
        artifact.unpack(folder / "model" / MODEL_ARCHIVE, workspace / "candidate")
        candidate = artifact.read(workspace / "candidate")
    # A bootstrap artifact is no model: the product compares with none.
    of_champion = None if current is None else current.artifact.info.get(RECORDED)
    arn = "" if current is None else current.model_package_arn
    place, recorded = recording.evaluation(candidate.info[RECORDED], of_champion)
    files = list(recording.files(place))
    output.mkdir(parents=True, exist_ok=True)
    for seconds, line in recorded["log"]:
        clock.wait_until(seconds)
        log(line)
    for number, (file, content) in enumerate(files, 1):
        text = content.decode().replace(RUN_ID, run.run_id).replace(CHAMPION_ARN, arn)
        if file == EVALUATION_FILE:
            text = _published(text, warnings, stage)
        (output / file).write_text(text, encoding="utf-8")
        clock.wait_until(recorded["seconds"] * (0.9 + 0.1 * number / len(files)))


def _published(text: str, warnings: list[str], stage: str | None) -> str:
    """The report with the warnings of this evaluation, after its metrics were published."""
    report: dict[str, Any] = json.loads(text)
    if stage and (warning := published_metrics.publish(report["served"], stage)):
        warnings = [*warnings, warning]
    return json.dumps({**report, "warnings": [*warnings, *report["warnings"]]}, indent=2)


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
