"""The training job, in SageMaker script mode: `python -m ml.ncf.jobs.train --epochs 10 --lr 0.001 ...`.

SageMaker's PyTorch container gives the folders by environment: a prepared run at `SM_CHANNEL_<NAME>`, a
channel a split and one a file (`ml.contract.TRAINING_CHANNELS`); `SM_MODEL_DIR` for the artifact;
`SM_OUTPUT_DATA_DIR` for everything else. Without any hyperparameter it trains with the post's; `--preset`
names other sets.

Prints a line an epoch, on the validation split, as `ml.contract.METRIC_REGEXES` reads it. On a failure it
exits 1 with one line, which SageMaker also shows as the job's failure reason, and leaves no artifact.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.contract import (
    ENV_CODE_VERSION,
    ENV_RUN_ID,
    N_TEST_NEGATIVES,
)
from ml.manifest import ManifestError
from ml.ncf.data.prepared_run import DataError, PreparedRun, read_run
from ml.ncf.evaluation import baselines, metrics
from ml.ncf.evaluation.evaluation_set import Candidates
from ml.ncf.model import artifact
from ml.ncf.model.ncf import NCF
from ml.ncf.objectives.catalogue import Share
from ml.ncf.training import distributed, report
from ml.ncf.training.checkpoint import CheckpointError
from ml.ncf.training.console import complain, say
from ml.ncf.training.loop import Epoch, TrainingError
from ml.ncf.training.recipe import Recipe, Trained
from ml.settings import hyperparameters
from ml.settings.hyperparameters import Hyperparameters

SOURCE_ROOT = Path(__file__).resolve().parents[3]
VALIDATION_LIMIT = 50_000  # pairs that each epoch is judged on: enough for 0.002 in HR, in seconds
REPORT_FILE = "report.html"
FAILURE_REASON_BYTES = 1024  # SageMaker keeps that much of /opt/ml/output/failure


def main(argv: Sequence[str] | None = None) -> int:
    """Train on the run of the environment's channels; the process's exit code."""
    arguments = _arguments(argv)
    try:
        settings = hyperparameters.from_arguments(arguments)
        run = read_run(channel)
        if arguments.run_id and arguments.run_id != run.run_id:
            say(f"warning: the manifest is of run {run.run_id}; it trains as run {arguments.run_id}")
        with distributed.processes() as share:
            recipe = recipe_of(run, settings, arguments.checkpoint_dir, share)
            trained = recipe.run()
            if share.rank == 0:
                write_report(arguments.output_data_dir, run, recipe, trained)
                write_artifact(arguments, run, settings, trained)
    except (DataError, ManifestError, TrainingError, CheckpointError, ValueError, OSError) as error:
        return _failed(f"training: {error}", arguments.output_data_dir)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ml.ncf.jobs.train", description="Train NCF.", allow_abbrev=False
    )
    hyperparameters.add_arguments(parser)
    where = parser.add_argument_group("where")
    where.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    where.add_argument(
        "--output-data-dir", type=Path, default=os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    )
    where.add_argument("--checkpoint-dir", type=Path, default=os.environ.get("SM_CHECKPOINT_DIR"))
    where.add_argument("--run-id", default=os.environ.get(ENV_RUN_ID), help="default: the manifest's")
    where.add_argument("--code-version", default=os.environ.get(ENV_CODE_VERSION))
    return parser.parse_args(argv)


def channel(name: str) -> Path:
    """The folder of an input channel.

    Raises:
        DataError: the job has no such channel.
    """
    variable = f"SM_CHANNEL_{name.upper()}"
    folder = os.environ.get(variable)
    if not folder or not Path(folder).is_dir():
        raise DataError(f"channel {name!r} is missing: {variable} is {folder or 'not set'}")
    return Path(folder)


def recipe_of(run: PreparedRun, settings: Hyperparameters, checkpoints: Path | None, share: Share) -> Recipe:
    """How to train on a run, selecting on its validation split.

    Raises:
        DataError: too few items, or a user for whom nothing is left to rank.
    """
    if settings.top_k > N_TEST_NEGATIVES:
        raise ValueError(f"top_k is {settings.top_k}: at most {N_TEST_NEGATIVES}, what it is chosen among")
    if run.n_items < settings.top_k + 1:
        raise DataError(
            f"{run.n_items} items: at least {settings.top_k + 1} are needed to rank {settings.top_k}"
        )
    seen = run.seen()
    n_unseen = run.n_items - seen.counts
    if not n_unseen.min():
        user = run.user_ids[np.argmin(n_unseen)]
        raise DataError(f"user {str(user)!r} has seen all {run.n_items} items: nothing is left to rank")
    if share.rank == 0:
        say(
            f"run {run.run_id}: {run.n_users} users, {run.n_items} items, {len(run.splits['train'])} pairs; "
            f"{settings.architecture} under {settings.objective}, {share.n_processes} processes"
        )
    return Recipe(
        train=run.splits["train"],
        held_out=run.splits["validation"],
        validation=Candidates.sampled(
            run.splits["validation"],
            seen,
            min(N_TEST_NEGATIVES, int(n_unseen.min())),
            np.random.default_rng(settings.seed),
            limit=VALIDATION_LIMIT,
        ),
        settings=settings,
        share=share,
        checkpoints=checkpoints,
        on_epoch=print_epoch if share.rank == 0 else lambda *_: None,
    )


def print_epoch(epoch: Epoch, _: NCF) -> None:
    """An epoch's line; one without validation has no metrics to show."""
    judged = "" if math.isnan(epoch.ndcg) else f"HR@10={epoch.hit_rate:.4f}; NDCG@10={epoch.ndcg:.4f}; "
    loss = "" if math.isnan(epoch.loss) else f"Loss={epoch.loss:.4f}; "
    say(
        f"{judged}{loss}{epoch.stage}, epoch {epoch.number}, "
        f"{epoch.seconds:.1f} s, peak memory {epoch.peak_memory_mib:.0f} MiB"
    )


def write_report(folder: Path, run: PreparedRun, recipe: Recipe, trained: Trained) -> None:
    """Write report.html: curves, and the model against popularity and item-kNN on validation."""
    k = recipe.settings.top_k
    quality = {"model": {f"hr_at_{k}": trained.best.hit_rate, f"ndcg_at_{k}": trained.best.ndcg}}
    quality["popularity"] = metrics.quality(baselines.popularity(recipe.train, recipe.validation), k)
    if baselines.affordable(recipe.train):
        scores = baselines.ItemKNN.fit(recipe.train).scores(recipe.validation)
        quality["item_knn"] = metrics.quality(scores, k)
    folder.mkdir(parents=True, exist_ok=True)
    page = report.render(f"NCF, run {run.run_id}", trained.epochs, quality, recipe.settings)
    (folder / REPORT_FILE).write_text(page, encoding="utf-8")


def write_artifact(
    arguments: argparse.Namespace,
    run: PreparedRun,
    settings: Hyperparameters,
    trained: Trained,
) -> None:
    """Write the trained model and all that serving needs to the model folder."""
    seen = run.seen()
    best = trained.best
    run_id = arguments.run_id or run.run_id
    artifact.write(
        arguments.model_dir,
        trained.model,
        artifact.Catalogue(
            user_ids=run.user_ids,
            item_ids=run.item_ids,
            seen_indptr=seen.indptr,
            seen_indices=seen.indices,
            popularity=run.popularity,
        ),
        {
            "run_id": run_id,
            "model_version": run_id,
            "code_version": arguments.code_version,
            "hyperparameters": settings.as_dict(),
            "metrics": {
                "protocol": "validation, sampled negatives",
                "stage": best.stage,
                "epoch": best.number,
                f"hr_at_{settings.top_k}": best.hit_rate,
                f"ndcg_at_{settings.top_k}": best.ndcg,
                "loss": best.loss,
            },
        },
        SOURCE_ROOT,
    )


def _failed(message: str, output_data_dir: Path) -> int:
    """Say why, on stderr and where SageMaker reads a job's failure reason."""
    line = complain(message)
    failure = Path(output_data_dir).parent / "failure"
    if failure.parent.is_dir():
        failure.write_bytes(line.encode()[:FAILURE_REASON_BYTES])
    return 1


if __name__ == "__main__":
    sys.exit(main())
