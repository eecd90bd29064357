"""Settings and constants that the stage config, the SageMaker pipeline and the jobs share."""
