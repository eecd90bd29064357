"""Scores and ranks of a model for the users and items of a run that it may not know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ml.ncf.data.prepared_run import PreparedRun
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.evaluation.held_out import HeldOut
from ml.ncf.evaluation.matched_model import MatchedModel
from ml.ncf.model import artifact
from ml.ncf.model.finite import NotFiniteError
from ml.ncf.model.ids import IdMap
from tests.ml.ncf.jobs.candidates import diverged


def test_model_is_matched_by_id_not_by_index(run: PreparedRun, model_dir: Path) -> None:
    model = artifact.read(model_dir)
    evaluation_set = EvaluationSet(torch.tensor([0, 1]), torch.tensor([[5, 9], [2, 7]]))
    before = MatchedModel(model, run).scores(evaluation_set)
    for table in (model.model.gmf.user_input.embedding, model.model.gmf.item_embedding):
        table.weight.data = table.weight.data.flip(0)
    flipped = replace(
        model.data,
        user_ids=IdMap.of(model.data.user_ids.tolist()[::-1]),
        item_ids=IdMap.of(model.data.item_ids.tolist()[::-1]),
    )
    after = MatchedModel(replace(model, data=flipped), run).scores(evaluation_set)
    assert torch.equal(after, before)


def test_unknown_item_scores_minus_infinity(run: PreparedRun, model_dir: Path) -> None:
    model = artifact.read(model_dir)
    ids = ["gone" if n == 5 else each for n, each in enumerate(model.data.item_ids.tolist())]
    model = replace(model, data=replace(model.data, item_ids=IdMap.of(ids)))
    scores = MatchedModel(model, run).scores(EvaluationSet(torch.tensor([0]), torch.tensor([[5, 9]])))
    assert scores[0, 0] == -torch.inf


def test_users_and_items_that_the_champion_lacks_are_ranked_as_in_serving(
    run: PreparedRun, model_dir: Path
) -> None:
    model = artifact.read(model_dir)
    whole = MatchedModel(model, run).catalogue_scores(torch.tensor([0, 1]))
    users = ["gone" if n == 1 else each for n, each in enumerate(model.data.user_ids.tolist())]
    items = ["gone" if n == 5 else each for n, each in enumerate(model.data.item_ids.tolist())]
    lacking = replace(model, data=replace(model.data, user_ids=IdMap.of(users), item_ids=IdMap.of(items)))
    found = MatchedModel(lacking, run).catalogue_scores(torch.tensor([0, 1]))
    assert found[:, 5].tolist() == [-torch.inf, -torch.inf]
    kept = torch.arange(run.n_items) != 5
    assert torch.equal(found[0, kept], whole[0, kept])
    assert torch.equal(found[1, kept], torch.from_numpy(run.popularity).float()[kept])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 3e38])
def test_scores_that_are_not_finite_are_refused(value: float, run: PreparedRun, model_dir: Path) -> None:
    with pytest.raises(NotFiniteError, match="scores are not finite"):
        MatchedModel(diverged(model_dir, value), run).catalogue_scores(torch.tensor([0]))


def test_whole_catalogue_ranks_among_unseen_items_only(run: PreparedRun, model_dir: Path) -> None:
    model = artifact.read(model_dir)
    hits, recommended = [], set()
    for user, held_out in zip(run.splits["test"].users, run.splits["test"].indices, strict=True):
        scores = model.model.score_catalogue(torch.tensor([int(user)]))[0].tolist()
        seen = {*run.splits["train"].of(user).tolist(), *run.splits["validation"].of(user).tolist()}
        unseen = sorted(set(range(run.n_items)) - seen, key=lambda item: -scores[item])
        hits.append(held_out in unseen[:10])
        recommended |= set(unseen[:10])
    held_out = HeldOut.of(run, seed=42)
    found = held_out.catalogue_report({"model": held_out.rank(MatchedModel(model, run))})["model"]
    assert found["hr_at_10"] == pytest.approx(sum(hits) / len(hits))
    assert found["coverage_at_10"] == pytest.approx(len(recommended) / run.n_items)
