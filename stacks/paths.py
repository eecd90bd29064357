"""Paths of the files that the program deploys."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDAS = ROOT / "lambdas"
ML_PACKAGE = ROOT / "ml"
SPARK_ENTRY = ML_PACKAGE / "preparation" / "__main__.py"
BUILD = ROOT / "build"  # archives that the program writes; ignored by git
SPARK_LOCK = ROOT / "requirements" / "spark.lock"
SPARK_PACKAGES = BUILD / "spark-packages.zip"  # `ci.spark_packages` builds it from the lock
