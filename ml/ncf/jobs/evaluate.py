"""The evaluation job: candidate, champion and popularity on one test split.

`python -m ml.ncf.jobs.evaluate --model-package-group NCF-dev` reads, below `--input`, the candidate's
`model/model.tar.gz` and a folder a channel of the prepared run (`ml.contract.TRAINING_CHANNELS`), and writes
`evaluation.json` for the quality gate and the registry.

Protocol (He et al. 2017, section 4.1): each user's held-out item among 99 items drawn uniformly, with a fixed
seed, from those that the user has in no split. Ties count against. Models are loaded from their artifacts, as
serving does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ml.contract import EVALUATION_FILE, MODEL_ARCHIVE, N_TEST_NEGATIVES, SCHEMA_VERSION
from ml.manifest import ManifestError
from ml.ncf.data.prepared_run import DataError, PreparedRun, read_run
from ml.ncf.evaluation import baselines, champion, metrics
from ml.ncf.evaluation.evaluation_set import SCORING_BATCH, Candidates, index_of
from ml.ncf.model import artifact
from ml.ncf.objectives.catalogue import gather_rows
from ml.ncf.training.console import complain, say

K = 10
CATALOGUE_USERS = 20_000  # enough for 0.003 in HR


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate and write the report; the process's exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.ncf.jobs.evaluate", description="Evaluate NCF.", allow_abbrev=False
    )
    parser.add_argument("--input", type=Path, default=Path("/opt/ml/processing/input"))
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing/evaluation"))
    parser.add_argument("--model-package-group", help="where the champion is looked up; none: no champion")
    parser.add_argument("--seed", type=int, default=42, help="of the sampled negatives")
    arguments = parser.parse_args(argv)
    try:
        run = read_run(lambda channel: arguments.input / channel)
        with tempfile.TemporaryDirectory() as workspace:
            report = evaluate(arguments, run, Path(workspace))
    except (
        DataError,
        ManifestError,
        artifact.ArtifactError,
        champion.ChampionError,
        OSError,
    ) as error:
        complain(f"evaluation: {error}")
        return 1
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / EVALUATION_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for name in ("model", "popularity", "item_knn"):
        if report[name] is None:
            continue
        say(f"{name}: HR@10={report[name]['hr_at_10']:.4f}; NDCG@10={report[name]['ndcg_at_10']:.4f};")
    return 0


def evaluate(arguments: argparse.Namespace, run: PreparedRun, workspace: Path) -> dict[str, Any]:
    """The report of the candidate below `arguments.input`, as `evaluation.json` holds it.

    Raises:
        DataError: the run cannot be ranked, or the candidate is not a model of this run's users and items.
        ml.ncf.model.artifact.ArtifactError: a model cannot be loaded.
        ml.ncf.evaluation.champion.ChampionError: the registry cannot be read.
    """
    artifact.unpack(arguments.input / "model" / MODEL_ARCHIVE, workspace / "candidate")
    candidate = artifact.read(workspace / "candidate")
    if candidate.catalogue is None or candidate.model is None:
        raise DataError("the candidate has no weights")
    rng = np.random.default_rng(arguments.seed)
    candidates = Candidates.sampled(run.splits["test"], run.seen(), N_TEST_NEGATIVES, rng)

    known = run.splits["train"].union(run.splits["validation"])
    knn = None
    if baselines.affordable(known):
        knn = metrics.quality(baselines.ItemKNN.fit(known).scores(candidates), K)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "protocol": {
            "split": "test",
            "negatives": N_TEST_NEGATIVES,
            "negatives_from": "items that the user has in no split, uniformly",
            "ties": "against the model",
            "k": K,
            "seed": arguments.seed,
            "n_users": len(candidates.users),
        },
        "model": metrics.quality(scores_by_id(candidate, run, candidates), K),
        "popularity": metrics.quality(baselines.popularity(known, candidates), K),
        "item_knn": knn,
        "whole_catalogue": whole_catalogue(candidate, run),
        "champion": None,
        "change": {"hr_at_10": 0.0, "ndcg_at_10": 0.0},
    }
    found = champion.find(arguments.model_package_group, workspace) if arguments.model_package_group else None
    if found is not None:
        scored = metrics.quality(scores_by_id(found.artifact, run, candidates), K)
        report["champion"] = {"model_package_arn": found.model_package_arn, **scored}
        report["change"] = {name: report["model"][name] - scored[name] for name in scored}
    return report


def whole_catalogue(model: artifact.Artifact, run: PreparedRun) -> dict[str, float]:
    """The model's metrics over every item that a user has in neither train nor validation.

    Of at most `CATALOGUE_USERS` users, spread evenly over all.

    Raises:
        DataError: the model's items are not this run's, as a candidate's are.
    """
    if model.model is None or model.catalogue is None:
        raise DataError(f"model {model.version} has no weights")
    if not np.array_equal(model.catalogue.item_ids, run.item_ids):
        raise DataError(f"model {model.version} was not trained on the items of run {run.run_id}")
    seen = run.splits["train"].union(run.splits["validation"])
    test = run.splits["test"]
    gathered = metrics.CatalogueMetrics(torch.from_numpy(run.popularity), K)
    step = max(1, len(test) // CATALOGUE_USERS)
    chosen = np.arange(0, len(test), step)
    for part in np.array_split(chosen, max(1, len(chosen) // SCORING_BATCH)):
        users, held_out = test.users[part].astype(np.int64), test.indices[part].astype(np.int64)
        with torch.no_grad():
            scores = model.model.score_catalogue(torch.from_numpy(users)).float()
        rows, items = gather_rows(seen, users)
        scores[torch.from_numpy(rows), torch.from_numpy(items.astype(np.int64))] = -torch.inf
        gathered.add(scores, torch.from_numpy(held_out))
    return gathered.result()


def scores_by_id(model: artifact.Artifact, run: PreparedRun, candidates: Candidates) -> Tensor:
    """A model's scores for the run's candidates: (C, 1 + N); by id, because indices differ between runs.

    A user that the model does not know is ranked by the model's popularity, as serving does; an item that it
    does not know cannot be recommended and scores below every other.
    """
    if model.model is None or model.catalogue is None:
        raise DataError(f"model {model.version} has no weights")
    known, users_known, items_known = candidates.renumbered(
        index_of(run.user_ids, model.catalogue.user_ids), index_of(run.item_ids, model.catalogue.item_ids)
    )
    popularity = torch.from_numpy(model.catalogue.popularity)[known.items].float()
    scores = torch.where(users_known[:, None], known.scores(model.model), popularity)
    return torch.where(items_known, scores, -torch.inf)


if __name__ == "__main__":
    sys.exit(main())
