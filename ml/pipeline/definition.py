"""Definition of the SageMaker pipeline: seven steps, from training to deployment.

``NCFTraining > NCFEvaluation > NCFQualityGate > NCFRegister > NCFCreateModel > NCFDeploy``, and
``NCFRejected`` if the candidate fails the gate, which is not a failure of the execution. The definition
depends only on the stage's settings. Values that differ between runs are parameters, so that concurrent runs
do not affect each other.
"""

from __future__ import annotations

import json
from typing import Any

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.training.configs import Networking
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import JsonGet
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder

from ml import contract
from ml.pipeline.environment import PipelineStage
from ml.pipeline.jobs import SERVICE_RETRY, evaluation_step, training_step
from ml.pipeline.parameters import RunParameters
from ml.pipeline.session import DefinitionSession

APPROVAL_STATUS = {"automatic": "Approved", "manual": "PendingManualApproval"}
CONTENT_TYPE = "application/json"


def compile_definition(stage: PipelineStage, session: DefinitionSession) -> dict[str, Any]:
    """The definition as CreatePipeline takes it (schema 2020-12-01)."""
    parameters = RunParameters()
    training = training_step(stage, parameters, session)
    evaluation, report = evaluation_step(stage, parameters, session, training)
    register = register_step(stage, parameters, session, training)
    create_model = create_model_step(stage, session, training, register)
    deploy = deploy_step(stage, register, create_model)
    gate = gate_step(stage, parameters, evaluation, report, [register, create_model, deploy])
    pipeline = Pipeline(
        name=stage.pipeline_name,
        parameters=parameters.all(),
        steps=[training, evaluation, gate],
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )
    return json.loads(pipeline.definition())


def gate_step(
    stage: PipelineStage,
    parameters: RunParameters,
    evaluation: ProcessingStep,
    report: PropertyFile,
    passed: list[Any],
) -> ConditionStep:
    """NCFQualityGate: the decision of the evaluation (`ml.ncf.evaluation.gate`), and a model that fits the
    endpoint's instance.

    Numbers and not booleans: SageMaker documents the comparison of JSON booleans nowhere.
    """
    conditions = [
        ConditionGreaterThanOrEqualTo(
            left=JsonGet(step_name=evaluation.name, property_file=report, json_path=path), right=0
        )
        for path in ("gate.margin", "serving.free_mib")
    ]
    return ConditionStep(
        name=contract.STEP_QUALITY_GATE,
        conditions=conditions,
        if_steps=passed,
        else_steps=[rejected_step(stage, parameters)],
    )


def rejected_step(stage: PipelineStage, parameters: RunParameters) -> LambdaStep:
    """NCFRejected: invoke report_rejection, which sends the notification of a candidate that is not better.

    Not a FailStep: a lost gate is a normal outcome, and a failed execution would send failure notifications.
    """
    return LambdaStep(
        name=contract.STEP_REJECTED,
        lambda_func=Lambda(function_arn=stage.rejection_function_arn),
        inputs={
            "run_id": parameters.run_id,
            "report_uri": parameters.below_output("evaluation", contract.EVALUATION_FILE),
        },
        outputs=[
            LambdaOutput(output_name=contract.REJECTION_SUMMARY, output_type=LambdaOutputTypeEnum.String)
        ],
    )


def register_step(
    stage: PipelineStage, parameters: RunParameters, session: DefinitionSession, training: TrainingStep
) -> ModelStep:
    """NCFRegister: a model package with its evaluation report, run id and code version."""
    report = MetricsSource(
        s3_uri=parameters.below_output("evaluation", contract.EVALUATION_FILE), content_type=CONTENT_TYPE
    )
    arguments = _model_builder(stage, session, training).register(
        model_package_group_name=stage.model_package_group,
        content_types=[CONTENT_TYPE],
        response_types=[CONTENT_TYPE],
        inference_instances=[stage.training.serving_instance_type],
        approval_status=APPROVAL_STATUS[stage.training.approval],
        model_metrics=ModelMetrics(model_statistics=report),
        customer_metadata_properties={
            "run_id": parameters.run_id,
            "code_version": parameters.code_version,
            "source_uri": parameters.source_uri,  # for the batch recommendations
        },
        skip_model_validation="None",
    )
    return ModelStep(name=contract.STEP_REGISTER, step_args=arguments, retry_policies=[SERVICE_RETRY])


def create_model_step(
    stage: PipelineStage, session: DefinitionSession, training: TrainingStep, register: ModelStep
) -> ModelStep:
    """NCFCreateModel: a model from the artifact: SageMaker refuses a package that is pending approval."""
    arguments = _model_builder(stage, session, training).build(tags=dict(stage.training.tags))
    return ModelStep(
        name=contract.STEP_CREATE_MODEL,
        step_args=arguments,
        depends_on=[register],
        retry_policies=[SERVICE_RETRY],
    )


def deploy_step(stage: PipelineStage, register: ModelStep, create_model: ModelStep) -> LambdaStep:
    """NCFDeploy: invoke deploy_model, which starts the rollout; the endpoint's state event completes it."""
    return LambdaStep(
        name=contract.STEP_DEPLOY,
        lambda_func=Lambda(function_arn=stage.deploy_function_arn),
        inputs={
            "model_package_arn": register.properties.ModelPackageArn,
            "model_name": create_model.properties.ModelName,
        },
        outputs=[
            LambdaOutput(output_name="status", output_type=LambdaOutputTypeEnum.String),
            LambdaOutput(output_name="endpoint_config_name", output_type=LambdaOutputTypeEnum.String),
        ],
    )


def _model_builder(stage: PipelineStage, session: DefinitionSession, training: TrainingStep) -> ModelBuilder:
    instance_type = stage.training.serving_instance_type
    return ModelBuilder(
        sagemaker_session=session,
        role_arn=stage.model_role_arn,
        image_uri=stage.training.serving_image,
        instance_type=instance_type,
        s3_model_data_url=training.properties.ModelArtifacts.S3ModelArtifacts,
        env_vars=dict(contract.SERVING_ENVIRONMENT),
        log_level=None,  # a level would be applied to the SDK's logger
        network=Networking(enable_network_isolation=True),  # the artifact contains all serving code
    )
