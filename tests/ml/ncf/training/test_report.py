from __future__ import annotations

import re
from xml.etree import ElementTree

from ml.ncf.training import report
from ml.ncf.training.loop import Epoch
from ml.settings.hyperparameters import Hyperparameters

EPOCHS = [
    Epoch("gmf", 1, 2.0, {"hr": 0.5, "ndcg": 0.3}, 1.0, 200.0),
    Epoch("gmf", 2, 1.0, {"hr": 0.6, "ndcg": 0.4}, 2.0, 210.0),
    Epoch("gmf-refit", 1, 1.5, {}, 1.0, 215.0),
]
QUALITY = {"model": {"hr_at_10": 0.6, "ndcg_at_10": 0.4}, "popularity": {"hr_at_10": 0.3, "ndcg_at_10": 0.1}}


def page(title: str = "NCF") -> str:
    return report.render(title, EPOCHS, QUALITY, Hyperparameters())


def charts() -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page(), re.DOTALL)]


def test_page_has_no_external_resource() -> None:
    assert not re.search(r"https?:|src=|href=|url\(|@import", page())


def test_chart_has_one_line_per_phase_with_values() -> None:
    loss, hit_rate, ndcg = (len(chart.findall("polyline")) for chart in charts())
    assert (loss, hit_rate, ndcg) == (2, 1, 1)


def test_better_epoch_is_drawn_higher() -> None:
    points = charts()[1].find("polyline").get("points").split()
    first, second = (float(point.split(",")[1]) for point in points)
    assert second < first


def test_model_is_listed_with_the_baselines() -> None:
    text = re.sub(r"<[^>]+>", " ", page())
    assert re.search(r"model\s+0\.6\s+0\.4\s+popularity\s+0\.3\s+0\.1", text)


def test_titles_are_escaped() -> None:
    assert "<script>" not in page("<script>")
