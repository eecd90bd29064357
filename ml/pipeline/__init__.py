"""The SageMaker pipeline that trains, judges, registers and deploys a run."""
