"""SageMaker pipeline that trains, evaluates, registers and deploys a model of a prepared run."""
