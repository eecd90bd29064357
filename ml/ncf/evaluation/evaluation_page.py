"""Page of an evaluation: candidate, champion and baselines, in all and by segment of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.ncf.evaluation import html_page
from ml.ncf.evaluation.comparison import CANDIDATE, CHAMPION, CHANGE
from ml.settings.monitoring import MONITORED_METRICS

MODELS = {CANDIDATE: "candidate", CHAMPION: "champion", "popularity": "popularity", "item_knn": "item-kNN"}


def render(report: Mapping[str, Any]) -> str:
    """The page of the content of `evaluation.json`."""
    catalogue = report["whole_catalogue"]
    sampled_title = f"The held-out item among {report['protocol']['negatives']} sampled ones"
    parts = [html_page.paragraph(f"Warning: {warning}.") for warning in report["warnings"]]
    if report["gate"]:
        parts += [
            html_page.paragraph(line) for line in (report["gate"]["decision"], *report["gate"]["lines"])
        ]
    parts += [html_page.paragraph(note) for note in report.get("training_notes", [])]
    parts.append(html_page.paragraph(f"Behind each number, in brackets: {report['protocol']['intervals']}."))
    parts += _section(sampled_title, report, report["protocol"]["n_users"])
    parts += _section("The held-out item among all unseen ones", catalogue, catalogue["protocol"]["n_pairs"])
    if report["new_users"]:
        protocol = report["new_users"]["protocol"]
        title = f"Users treated as new, ranked by their last {protocol['last_items']} items"
        parts += _section(title, report["new_users"], protocol["n_pairs"])
    if served := report.get("served"):
        title = f"The model that serves, on the newest day: {served['n_pairs']} pairs that it had not seen"
        rows = [[metric.label, _known(served[metric.key])] for metric in MONITORED_METRICS]
        parts += [html_page.heading(title), html_page.table(["", "value"], rows)]
    return html_page.page(f"Evaluation of run {report['run_id']}", parts)


def _section(title: str, report: Mapping[str, Any], n_pairs: int) -> list[str]:
    """Two tables: models by metric, and candidate against champion by segment."""
    keys = list(report["intervals"][CANDIDATE])
    names = [name for name in MODELS if report.get(name)]
    others = [key for key in report[CANDIDATE] if key not in keys]
    rows = [
        [MODELS[name], *(_number(report, name, key) for key in keys), *_plain(report[name], others)]
        for name in names
    ]
    if CHANGE in report["intervals"]:
        rows.append(["candidate − champion", *(_number(report, CHANGE, key) for key in keys)])
    parts = [html_page.heading(f"{title}: {n_pairs} pairs"), html_page.table(["", *keys, *others], rows)]
    if report.get("segments"):
        parts.append(html_page.table(["segment", "known items", "pairs", "", *keys], _segments(report, keys)))
    return parts


def _segments(report: Mapping[str, Any], keys: list[str]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, of in report["segments"].items():
        described: list[object] = [name, "{} to {}".format(*of["known_items"]), of["n_pairs"]]
        compared = {**MODELS, CHANGE: "candidate − champion"}
        models = [each for each in (CANDIDATE, CHAMPION, CHANGE, "popularity") if each in of]
        rows += [[*described, compared[each], *(_number(of, each, key) for key in keys)] for each in models]
        if not models:
            rows.append([*described, "no pairs"])
    return rows


def _number(report: Mapping[str, Any], name: str, key: str) -> str:
    """A metric with its interval, if it was measured for this model and these pairs."""
    if key not in report[name]:
        return ""
    value = f"{report[name][key]:.4f}"
    bounds = report["intervals"][name].get(key)
    return value if bounds is None else f"{value} ({bounds[0]:.4f} to {bounds[1]:.4f})"


def _known(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"


def _plain(values: Mapping[str, Any], keys: list[str]) -> list[object]:
    return [values[key] for key in keys if key in values]
