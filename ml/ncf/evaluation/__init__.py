"""Evaluation: ranking metrics, evaluation sets, baselines and the champion."""
