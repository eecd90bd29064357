"""This project's model, trained by the training job of the stages with a preset as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.peer_models.peer import CatalogueScorer, Rows, Training
from bench.prepared_runs import locate, mount
from ml.ncf.data.prepared_run import read_run
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.jobs import train
from ml.ncf.model import artifact


@contextmanager
def variables(given: Mapping[str, str]) -> Iterator[None]:
    """Environment variables inside the block."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Product:
    """The training job, from the files of a prepared run to the artifact.

    Its values are `run`, the folder of the prepared run, and `flags` of the job. The job trains on the train
    and validation splits; it reads the test split as seen items only (ADR 5).
    """

    def train(self, rows: Rows, training: Training) -> CatalogueScorer:
        del rows  # the job reads the run, and selects on validation by itself
        values, workspace = training.values, training.workspace
        run, model = Path(values["run"]), workspace / "model"
        model.mkdir()
        paths = ["--model-dir", str(model), "--output-data-dir", str(workspace / "output")]
        with variables(mount(run, workspace / "input")):
            status = train.main([*values["flags"], "--seed", str(training.seed), *paths])
        if status:
            raise SystemExit(status)
        matched = MatchedModel(artifact.read(model), read_run(locate(run)))

        def catalogue(users: NDArray[np.int64]) -> NDArray[np.float32]:
            return matched.catalogue_scores(torch.from_numpy(users)).numpy()

        return CatalogueScorer(catalogue)
