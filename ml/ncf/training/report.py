"""Training report: one HTML file with inline SVG and no external resources."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

from ml.ncf.evaluation import html_page
from ml.ncf.evaluation.metrics import RANKING_METRICS
from ml.ncf.training.loop import Epoch
from ml.settings.hyperparameters import Hyperparameters

WIDTH, HEIGHT, MARGIN = 560, 240, 48  # of a chart, in CSS pixels
COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#475569")  # by phase
Scores = Mapping[str, float]


def render(
    title: str,
    epochs: Sequence[Epoch],
    quality: Mapping[str, Scores],
    settings: Hyperparameters,
    notes: Sequence[str] = (),
) -> str:
    """The report as HTML.

    Args:
        title: model and run.
        epochs: of every phase, in order.
        quality: validation metrics by key, of the model and of each baseline.
        settings: the hyperparameters.
        notes: sentences about what validation selected.
    """
    charts = [
        _chart("Training loss", epochs, lambda epoch: epoch.loss),
        *(
            _chart(f"Validation {name.upper()}@{settings.top_k}", epochs, _value_of(name))
            for name in RANKING_METRICS
        ),
    ]
    peak = max(epoch.peak_memory_mib for epoch in epochs)
    seconds = sum(_last_of(epochs, phase).seconds for phase in _phases(epochs))
    names = list(next(iter(quality.values())))
    return html_page.page(
        title,
        [
            f"<p>{len(epochs)} epochs in {seconds:.1f} s; peak memory {peak:.0f} MiB.</p>",
            *(f"<p>{html.escape(note)}</p>" for note in notes),
            '<div class="charts">',
            *charts,
            "</div>",
            html_page.heading("Model and baselines, on validation"),
            html_page.table(["", *names], [[model, *scores.values()] for model, scores in quality.items()]),
            html_page.heading("Hyperparameters"),
            html_page.table(["name", "value"], [[name, value] for name, value in settings.as_dict().items()]),
        ],
    )


def _value_of(metric: str) -> Callable[[Epoch], float]:
    return lambda epoch: epoch.metrics.get(metric, math.nan)


def _phases(epochs: Sequence[Epoch]) -> list[str]:
    return list(dict.fromkeys(epoch.phase for epoch in epochs))


def _last_of(epochs: Sequence[Epoch], phase: str) -> Epoch:
    return [epoch for epoch in epochs if epoch.phase == phase][-1]


def _chart(title: str, epochs: Sequence[Epoch], value_of: Callable[[Epoch], float]) -> str:
    """Line chart with one line per phase; NaN (not measured) is left out."""
    lines = {
        phase: [(e.number, value_of(e)) for e in epochs if e.phase == phase and math.isfinite(value_of(e))]
        for phase in _phases(epochs)
    }
    lines = {phase: points for phase, points in lines.items() if points}
    if not lines:
        return ""
    values = [value for points in lines.values() for _, value in points]
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1.0
    last = max(number for points in lines.values() for number, _ in points) or 1

    def x(number: float) -> float:
        return MARGIN + number / last * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN)

    parts = [f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    parts.append(f'<text x="{MARGIN}" y="18" font-weight="600">{html.escape(title)}</text>')
    for step in range(5):
        level = low + span * step / 4
        at = f"{y(level):.1f}"
        parts.append(
            f'<line class="grid" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{at}" y2="{at}"/>'
            f'<text x="{MARGIN - 6}" y="{at}" dy="4" text-anchor="end">{level:.3g}</text>'
        )
    for colour, points in zip(COLOURS * len(lines), lines.values(), strict=False):
        path = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in points)
        end_x, end_y = points[-1]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        parts.append(f'<circle cx="{x(end_x):.1f}" cy="{y(end_y):.1f}" r="3" fill="{colour}"/>')
    legend = "  ".join(
        f'<tspan fill="{colour}">■</tspan> {html.escape(phase)}'
        for colour, phase in zip(COLOURS * len(lines), lines, strict=False)
    )
    parts.append(f'<text x="{MARGIN}" y="{HEIGHT - 8}">{legend}</text>')
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 8}" text-anchor="end">epoch {last}</text></svg>')
    return "".join(parts)
