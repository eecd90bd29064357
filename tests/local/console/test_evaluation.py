"""Curves of a training from the lines of its log."""

import math

import pytest

from local.console.evaluation import parse_epoch, served_values
from ml.ncf.jobs import train
from ml.ncf.training.loop import Epoch
from ml.settings.monitoring import MONITORED_METRICS


def test_lines_that_training_logs_are_parsed_back(capsys: pytest.CaptureFixture[str]) -> None:
    epoch = Epoch("gmf", 3, 0.25, {"hr": 0.7, "ndcg": 0.4}, 1.5, 300.0)
    train.log_epoch(epoch, None)  # type: ignore[arg-type]
    assert [parse_epoch(line) for line in capsys.readouterr().out.splitlines()] == [
        {"phase": "gmf", "epoch": 3, "HR@10": 0.7, "NDCG@10": 0.4, "Loss": 0.25}
    ]


def test_monitoring_has_a_label_per_value_and_reports_of_earlier_code_have_none() -> None:
    served = {metric.key: n / 10 for n, metric in enumerate(MONITORED_METRICS)}
    found = served_values({"served": served})
    assert [each["value"] for each in found] == list(served.values())
    assert {each["label"] for each in found} == {metric.label for metric in MONITORED_METRICS}
    assert served_values({}) == served_values(None) == []


def test_epoch_without_loss_has_no_loss(capsys: pytest.CaptureFixture[str]) -> None:
    train.log_epoch(Epoch("fused", 0, math.nan, {"hr": 0.7, "ndcg": 0.4}, 1.5, 300.0), None)  # type: ignore[arg-type]
    (point,) = map(parse_epoch, capsys.readouterr().out.splitlines())
    assert point == {"phase": "fused", "epoch": 0, "HR@10": 0.7, "NDCG@10": 0.4}


@pytest.mark.parametrize(
    "line", ["", "run 20261123T020000Z: 943 users", "HR@10=0.7000; NDCG@10=0.4000;", "gmf, epoch 3, 1 s"]
)
def test_other_lines_are_no_epochs(line: str) -> None:
    assert parse_epoch(line) is None
