"""SageMaker in the emulator: jobs, pipelines, the model registry and endpoints that run."""
