"""Entry points of the training job and the evaluation job."""
