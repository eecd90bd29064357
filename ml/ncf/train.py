"""The training job, in SageMaker script mode: `python -m ml.ncf.train --epochs 10 --lr 0.001 ...`.

SageMaker's PyTorch container gives the folders by environment: a prepared run at `SM_CHANNEL_<NAME>`, a
channel a split and one a file (`ml.contract.TRAINING_CHANNELS`); `SM_MODEL_DIR` for the artifact;
`SM_OUTPUT_DATA_DIR` for everything else. Without any hyperparameter it trains with the post's; `--preset` names other sets.

Prints a line an epoch, on the validation split, as `ml.contract.METRIC_REGEXES` reads it. On a failure it
exits 1 with one line, which SageMaker also shows as the job's failure reason, and leaves no artifact.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ml.contract import (
    ENV_CODE_VERSION,
    ENV_RUN_ID,
    N_TEST_NEGATIVES,
)
from ml.manifest import ManifestError
from ml.ncf import artifact, hyperparameters
from ml.ncf.console import complain, say
from ml.ncf.data import DataError, Interactions, PreparedRun, read_run
from ml.ncf.hyperparameters import Hyperparameters
from ml.ncf.model import NCF, NCFConfig
from ml.ncf.objectives import CatalogueSoftmax, Objective, SampledBCE
from ml.ncf.trainer import Candidates, Epoch, TrainingError, best_epoch, fit

SOURCE_ROOT = Path(__file__).resolve().parents[2]
FAILURE_REASON_BYTES = 1024  # SageMaker keeps that much of /opt/ml/output/failure


def main(argv: Sequence[str] | None = None) -> int:
    """Train on the run of the environment's channels; the process's exit code."""
    arguments = _arguments(argv)
    try:
        settings = hyperparameters.from_arguments(arguments)
        run = read_run(channel)
        if arguments.run_id and arguments.run_id != run.run_id:
            say(f"warning: the manifest is of run {run.run_id}; it trains as run {arguments.run_id}")
        model, epochs = train(run, settings)
        write_artifact(arguments, run, settings, model, epochs)
    except (DataError, ManifestError, TrainingError, ValueError, OSError) as error:
        return _failed(f"training: {error}", arguments.output_data_dir)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ml.ncf.train", description="Train NCF.", allow_abbrev=False
    )
    hyperparameters.add_arguments(parser)
    where = parser.add_argument_group("where")
    where.add_argument("--model-dir", type=Path, default=os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
    where.add_argument(
        "--output-data-dir", type=Path, default=os.environ.get("SM_OUTPUT_DATA_DIR", "/opt/ml/output/data")
    )
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


def train(run: PreparedRun, settings: Hyperparameters) -> tuple[NCF, list[Epoch]]:
    """Train a model on a run, selecting on its validation split."""
    began = time.perf_counter()
    torch.use_deterministic_algorithms(True)
    if settings.top_k > N_TEST_NEGATIVES:
        raise ValueError(
            f"top_k is {settings.top_k}: at most {N_TEST_NEGATIVES}, the negatives it ranks among"
        )
    if run.n_items < settings.top_k + 1:
        raise DataError(
            f"{run.n_items} items: at least {settings.top_k + 1} are needed to rank {settings.top_k}"
        )
    seen = run.seen()
    train_rows, held_out = run.splits["train"], run.splits["validation"]
    rng = np.random.default_rng(settings.seed)
    least_unseen = int((run.n_items - seen.counts).min())
    if not least_unseen:
        user = int(np.argmin(run.n_items - seen.counts))
        raise DataError(f"user {str(run.user_ids[user])!r} has seen all {run.n_items} items: nothing to rank")
    validation = Candidates.sampled(held_out, seen, min(N_TEST_NEGATIVES, least_unseen), rng)
    model = NCF(
        NCFConfig(
            n_users=run.n_users,
            n_items=run.n_items,
            architecture=settings.architecture,
            factor_num=settings.factor_num,
            mlp_factor_num=settings.mlp_factor_num,
            num_layers=settings.num_layers,
            dropout=settings.dropout,
        )
    )
    model.initialise(torch.Generator().manual_seed(settings.seed), settings.embedding_std)
    say(
        f"run {run.run_id}: {run.n_users} users, {run.n_items} items, {len(train_rows)} pairs; "
        f"{settings.architecture} under {settings.objective}, "
        f"{sum(p.numel() for p in model.parameters())} parameters; "
        f"ready after {time.perf_counter() - began:.1f} s"
    )
    epochs = fit(model, objective_of(settings, train_rows), validation, settings, _print_epoch)
    best = best_epoch(epochs)
    say(f"best epoch {best.number} of {len(epochs)}: kept after {epochs[-1].seconds:.1f} s")
    return model, epochs


def objective_of(settings: Hyperparameters, train_rows: Interactions) -> Objective:
    """The objective that the settings name, over the training pairs."""
    if settings.objective == "softmax":
        return CatalogueSoftmax(train_rows, settings.batch_size)
    return SampledBCE(train_rows, settings.batch_size, settings.n_negatives)


def _print_epoch(epoch: Epoch) -> None:
    say(
        f"HR@10={epoch.hit_rate:.4f}; NDCG@10={epoch.ndcg:.4f}; Loss={epoch.loss:.4f}; "
        f"epoch {epoch.number}, {epoch.seconds:.1f} s"
    )


def write_artifact(
    arguments: argparse.Namespace,
    run: PreparedRun,
    settings: Hyperparameters,
    model: NCF,
    epochs: list[Epoch],
) -> None:
    """Write the trained model and all that serving needs to the model folder."""
    seen = run.seen()
    best = best_epoch(epochs)
    run_id = arguments.run_id or run.run_id
    artifact.write(
        arguments.model_dir,
        model,
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
