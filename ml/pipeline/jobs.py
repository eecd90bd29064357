"""The two jobs of the pipeline: NCFTraining and NCFEvaluation."""

from __future__ import annotations

from collections.abc import Mapping

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    CheckpointConfig,
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    MetricDefinition,
    Networking,
    SourceCode,
    StoppingCondition,
    Tag,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.train.model_trainer import ModelTrainer

from ml import contract
from ml.pipeline.environment import PipelineStage
from ml.pipeline.parameters import RunParameters
from ml.pipeline.session import DefinitionSession
from ml.settings.containers import CHECKPOINTS, PROCESSING_EVALUATION, PROCESSING_INPUT, TRAINING_CODE
from ml.settings.fields import Scalar
from ml.settings.metrics import METRICS
from ml.settings.training import MAX_SPOT_WAIT_FACTOR

EVALUATION_OUTPUT = "evaluation"

# Retries after faults and shortages of the service; a step whose code fails is not retried.
SERVICE_RETRY = StepRetryPolicy(
    exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
    interval_seconds=10,
    max_attempts=5,
)
JOB_RETRY = SageMakerJobStepRetryPolicy(
    exception_types=[
        SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
        SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
        SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT,
    ],
    interval_seconds=60,
    max_attempts=5,
)


def channel_uris(parameters: RunParameters) -> dict[str, PipelineVariable]:
    """URI of each training channel in the prepared run: splits are folders, the others are files."""
    names = {split: [split, ""] for split in contract.SPLITS}
    names |= {
        "users": [contract.USERS_FILE],
        "items": [contract.ITEMS_FILE],
        "popularity": [contract.POPULARITY_FILE],
        "manifest": [contract.MANIFEST_FILE],
    }
    return {
        channel: Join(on="/", values=[parameters.data_uri, *names[channel]])
        for channel in contract.TRAINING_CHANNELS
    }


def training_step(
    stage: PipelineStage, parameters: RunParameters, session: DefinitionSession
) -> TrainingStep:
    """NCFTraining: ``python3 -m ml.ncf.jobs.train`` on the run's channels; on spot instances if set."""
    channels = {"code": parameters.source_uri, **channel_uris(parameters)}
    return TrainingStep(
        name=contract.STEP_TRAINING,
        step_args=_trainer(stage, parameters, session).train(
            input_data_config=[
                InputData(channel_name=name, data_source=uri) for name, uri in channels.items()
            ]
        ),
        retry_policies=[SERVICE_RETRY, JOB_RETRY],
    )


def _trainer(stage: PipelineStage, parameters: RunParameters, session: DefinitionSession) -> ModelTrainer:
    training = stage.training
    wait_s = training.max_runtime_s * MAX_SPOT_WAIT_FACTOR if training.use_spot else None
    # Below the execution: a run that is started again must not continue from the checkpoints of other code.
    checkpoints = CheckpointConfig(
        s3_uri=parameters.below_output("checkpoints", ExecutionVariables.PIPELINE_EXECUTION_ID),
        local_path=CHECKPOINTS,
    )
    # SageMaker sets no variable for the folder, so that the job gets it as an argument.
    checkpoint_arguments = ["--checkpoint-dir", CHECKPOINTS] if training.use_spot else []
    return ModelTrainer(
        sagemaker_session=session,
        role=stage.job_role_arn,
        base_job_name=f"{stage.pipeline_name}-training",
        training_image=training.image(stage.region, training.instance_type),
        source_code=SourceCode(
            command="python3 -m ml.ncf.jobs.train",
            args=[*command_line(training.hyperparameters), *checkpoint_arguments],
        ),
        hyperparameters=dict(training.hyperparameters),
        environment={
            "PYTHONPATH": TRAINING_CODE,
            contract.ENV_RUN_ID: parameters.run_id,
            contract.ENV_CODE_VERSION: parameters.code_version,
        },
        compute=Compute(
            instance_type=training.instance_type,
            instance_count=1,
            volume_size_in_gb=training.volume_gib,
            volume_kms_key_id=stage.kms_key_arn,
            enable_managed_spot_training=training.use_spot,
        ),
        # The training image has torch, numpy and pyarrow, so that no package is installed at start.
        networking=Networking(enable_network_isolation=True),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=training.max_runtime_s, max_wait_time_in_seconds=wait_s
        ),
        output_data_config=OutputDataConfig(
            s3_output_path=parameters.below_output("training"), kms_key_id=stage.kms_key_arn
        ),
        checkpoint_config=checkpoints if training.use_spot else None,
        tags=[Tag(key=key, value=value) for key, value in training.tags.items()],
    ).with_metric_definitions([MetricDefinition(name=metric.label, regex=metric.regex) for metric in METRICS])


def command_line(hyperparameters: Mapping[str, Scalar]) -> list[str]:
    """Hyperparameters as arguments: ``{"batch_size": 256}`` is ``--batch-size 256``."""
    return [
        part for key, value in hyperparameters.items() for part in (f"--{key.replace('_', '-')}", str(value))
    ]


def evaluation_step(
    stage: PipelineStage, parameters: RunParameters, session: DefinitionSession, training: TrainingStep
) -> tuple[ProcessingStep, PropertyFile]:
    """NCFEvaluation: candidate and champion on the same test split; the gate reads its report."""
    report = PropertyFile(name="Evaluation", output_name=EVALUATION_OUTPUT, path=contract.EVALUATION_FILE)
    inputs = {
        "code": parameters.source_uri,
        "model": training.properties.ModelArtifacts.S3ModelArtifacts,
        **channel_uris(parameters),
    }
    step = ProcessingStep(
        name=contract.STEP_EVALUATION,
        step_args=_evaluator(stage, parameters, session).run(
            inputs=[_processing_input(name, uri) for name, uri in inputs.items()],
            outputs=[_processing_output(EVALUATION_OUTPUT, parameters.below_output("evaluation"))],
            arguments=[
                *("--input", PROCESSING_INPUT),
                *("--output", PROCESSING_EVALUATION),
                *("--model-package-group", stage.model_package_group),
                *("--serving-instance-type", stage.training.serving_instance_type),
                *("--gate", stage.training.gate.to_json()),
                *("--stage", stage.name),
            ],
        ),
        property_files=[report],
        retry_policies=[SERVICE_RETRY, JOB_RETRY],
    )
    return step, report


def _evaluator(stage: PipelineStage, parameters: RunParameters, session: DefinitionSession) -> Processor:
    training = stage.training
    return Processor(
        sagemaker_session=session,
        role=stage.job_role_arn,
        base_job_name=f"{stage.pipeline_name}-evaluation",
        image_uri=training.image(stage.region, training.evaluation_instance_type),
        entrypoint=["python3", "-m", "ml.ncf.jobs.evaluate"],
        instance_type=training.evaluation_instance_type,
        instance_count=1,
        volume_size_in_gb=training.volume_gib,
        volume_kms_key=stage.kms_key_arn,
        output_kms_key=stage.kms_key_arn,
        max_runtime_in_seconds=training.max_runtime_s,
        env={"PYTHONPATH": f"{PROCESSING_INPUT}/code", contract.ENV_RUN_ID: parameters.run_id},
        tags=[{"Key": key, "Value": value} for key, value in training.tags.items()],
    )


def _processing_input(name: str, uri: PipelineVariable) -> ProcessingInput:
    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri,
            s3_data_type="S3Prefix",
            local_path=f"{PROCESSING_INPUT}/{name}",
            s3_input_mode="File",
            s3_data_distribution_type="FullyReplicated",
        ),
    )


def _processing_output(name: str, uri: PipelineVariable) -> ProcessingOutput:
    return ProcessingOutput(
        output_name=name,
        s3_output=ProcessingS3Output(s3_uri=uri, local_path=PROCESSING_EVALUATION, s3_upload_mode="EndOfJob"),
    )
