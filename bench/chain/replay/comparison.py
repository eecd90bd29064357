"""Keys of evaluation reports, in the place of `ml.ncf.evaluation.comparison`, which needs torch."""

from __future__ import annotations

CANDIDATE = "model"
