"""SageMaker in the emulator: jobs, pipelines, the registry and endpoints that run."""
