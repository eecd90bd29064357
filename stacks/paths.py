"""Where the program finds what it deploys."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAMBDAS = ROOT / "lambdas"
ML_PACKAGE = ROOT / "ml"
SPARK_ENTRY = ML_PACKAGE / "preparation" / "__main__.py"
BUILD = ROOT / "build"  # what the program packs; ignored by git
SPARK_LOCK = ROOT / "requirements" / "spark.lock"
SPARK_PACKAGES = BUILD / "spark-packages.zip"  # what `ci.spark_packages` made of the lock
