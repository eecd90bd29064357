"""Evaluation job: candidate, champion and baselines on the test split of a prepared run.

`python -m ml.ncf.jobs.evaluate --model-package-group NCF-dev` reads, below `--input`, the candidate's
`model/model.tar.gz` and one folder per channel of the prepared run (`ml.contract.TRAINING_CHANNELS`), and
writes `evaluation.json` for the quality gate and the model registry, `evaluation.html` for people, and
`popular.json`, the list that the API answers with when the endpoint does not.

Models are loaded from their artifacts, as in serving. A champion that cannot be read counts as absent, with a
warning in the report: the registry, S3 or the artifact of another model must not stop retraining.
`deploy_model` copies the warnings to the package.

The section `served` is the monitoring of the champion (`ml.ncf.evaluation.served_model`); with `--stage` its
values are published to CloudWatch.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ml.contract import EVALUATION_FILE, POPULAR_LIST_FILE
from ml.ncf.data.prepared_run import read_run
from ml.ncf.evaluation import champion, evaluation_page, metrics
from ml.ncf.evaluation.comparison import CANDIDATE
from ml.ncf.evaluation.popular_list import popular_list
from ml.ncf.evaluation.served_model import served_report
from ml.ncf.jobs import packages, published_metrics
from ml.ncf.jobs.evaluation_report import ITEM_KNN, POPULARITY, Monitor, evaluate
from ml.ncf.jobs.exit_reason import JobExit, JobParser, stop_on_sigterm
from ml.ncf.model import artifact
from ml.ncf.training.console import log
from ml.settings.containers import PROCESSING_EVALUATION, PROCESSING_INPUT, PROCESSING_MESSAGE
from ml.settings.gate import GateSettings
from ml.settings.metrics import CUTOFF

MESSAGE_FILE = Path(PROCESSING_MESSAGE)
PAGE_FILE = "evaluation.html"

FindChampion = Callable[[str, Path], champion.Champion | None]
"""Returns the champion of a model package group, downloaded to a folder; raises as `champion.find`."""


def main(
    argv: Sequence[str] | None = None,
    *,
    find: FindChampion = champion.find,
    monitor: Monitor = served_report,
) -> int:
    """Evaluate and write the report; returns the exit status."""
    parser = JobParser(
        prog="python -m ml.ncf.jobs.evaluate", description="Evaluate a model.", reason_file=MESSAGE_FILE
    )
    parser.add_argument("--input", type=Path, default=Path(PROCESSING_INPUT))
    parser.add_argument("--output", type=Path, default=Path(PROCESSING_EVALUATION))
    parser.add_argument("--model-package-group", help="group of the champion (default: no champion)")
    parser.add_argument("--serving-instance-type", help="of the endpoint, which the model has to fit")
    parser.add_argument("--gate", help="JSON of the stage's quality gate (default: no decision)")
    parser.add_argument("--stage", help="whose metrics are published to CloudWatch (default: none)")
    parser.add_argument("--seed", type=int, default=42, help="seed of samples, negatives and intervals")
    arguments = parser.parse_args(argv)
    # ValueError: of data, manifest, gate and artifact, and of a number that is not finite
    with JobExit("evaluation", MESSAGE_FILE, (ValueError, OSError)) as job:
        write_evaluation(arguments, find, monitor)
    return job.status


def write_evaluation(arguments: argparse.Namespace, find: FindChampion, monitor: Monitor) -> None:
    """Evaluate, and write the files of the job.

    Raises:
        ValueError, OSError: the message says what is wrong; nothing is written.
    """
    packages.add_to_path()
    gate = GateSettings.from_json(arguments.gate) if arguments.gate else None
    run = read_run(lambda channel: arguments.input / channel)
    with tempfile.TemporaryDirectory() as name:
        workspace, group = Path(name), arguments.model_package_group
        current, warnings = find_champion(group, workspace, find) if group else (None, [])
        report = evaluate(
            arguments.input,
            run,
            workspace,
            current,
            arguments.seed,
            gate=gate,
            warnings=warnings,
            serving_instance_type=arguments.serving_instance_type,
            monitor=monitor,
        )
    if arguments.stage and (warning := published_metrics.publish(report["served"], arguments.stage)):
        report["warnings"].append(warning)
    files = {
        EVALUATION_FILE: json.dumps(report, indent=2, allow_nan=False),
        PAGE_FILE: evaluation_page.render(report),
        POPULAR_LIST_FILE: json.dumps(popular_list(run)),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (arguments.output / name).write_text(f"{text}\n", encoding="utf-8")
    if report["gate"] is not None:
        log(f"gate: {report['gate']['decision']}")
    for warning in report["warnings"]:
        log(f"warning: {warning}")
    for name in (CANDIDATE, POPULARITY, ITEM_KNN):
        if report[name] is not None:
            values = {key.removesuffix(f"_at_{CUTOFF}"): value for key, value in report[name].items()}
            log(f"{name}: {metrics.log_line(values)}")


def find_champion(
    group: str, workspace: Path, find: FindChampion
) -> tuple[champion.Champion | None, list[str]]:
    """The champion of a model package group, and a warning if it cannot be read."""
    try:
        return find(group, workspace), []
    except (champion.ChampionError, artifact.ArtifactError) as error:
        return None, [f"the champion counts as absent: {error}"]


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
