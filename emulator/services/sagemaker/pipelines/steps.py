"""Executors of the step types; they call SageMaker through its API, as other clients do."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from emulator.region import Region
from emulator.services.sagemaker.background import run_in_background
from emulator.services.sagemaker.execution_role import SESSION
from emulator.services.sagemaker.jobs.base import Jobs
from emulator.services.sagemaker.pipelines import conditions
from emulator.services.sagemaker.pipelines.definition import PipelineStep
from emulator.services.sagemaker.pipelines.expressions import PipelineExpressionError

LAMBDA_TIMEOUT_S = 600  # developer guide, Lambda step: at most ten minutes
MAX_JOB_NAME = 63  # API reference, TrainingJobName
_SUFFIX_LETTERS = string.ascii_letters + string.digits
# Error codes and the exception types of retry policies; developer guide, "Retry Policy for Pipeline Steps".
_EXCEPTION_TYPES = {
    "ThrottlingException": "Step.THROTTLING",
    "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT",
}


class PipelineStepError(Exception):
    """A step failed; the message is its FailureReason.

    Attributes:
        exception_type: as retry policies name it; None when no policy applies.
    """

    def __init__(self, reason: str, exception_type: str | None = None) -> None:
        super().__init__(reason)
        self.exception_type = exception_type


class StepStoppedError(Exception):
    """A step was stopped together with its execution."""


@dataclass
class StepContext:
    """Inputs of an executor, and the state that it sets while it runs.

    Attributes:
        execution_id, execution_arn: of the pipeline execution.
        role_arn: role of the pipeline, with which its steps call other services.
        training, processing: jobs of the region.
        metadata: Metadata of the step in ListPipelineExecutionSteps; set by the executor.
        on_stop: called when the execution is stopped while the step runs; set by the executor.
    """

    region: Region
    step: PipelineStep
    execution_id: str
    execution_arn: str
    role_arn: str
    training: Jobs
    processing: Jobs
    metadata: dict[str, Any]
    on_stop: Callable[[], Any] | None = None

    def client(self, service: str) -> Any:
        """boto3 client with the credentials of the pipeline's role."""
        return self.region.role_client(service, self.role_arn, SESSION)

    def resource_name(self, prefix: str | None) -> str:
        """``<prefix>-<execution id>-<step>-<random>``; the default prefix is ``pipelines``."""
        suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(10))
        head = f"{prefix or 'pipelines'}-{self.execution_id}-{self.step.name}"
        return f"{head[: MAX_JOB_NAME - len(suffix) - 1]}-{suffix}"

    def call(self, operation: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        """Call a SageMaker operation.

        Raises:
            PipelineStepError: the request is not valid, or the service refused it.
        """
        try:
            return call(**arguments)
        except ParamValidationError as error:
            raise PipelineStepError(_failed_to_invoke(operation, str(error).replace("\n", " "))) from error
        except ClientError as error:
            details = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            exception_type = _EXCEPTION_TYPES.get(details["Code"]) or (
                "Step.SERVICE_FAULT" if status >= 500 else None
            )
            raise PipelineStepError(
                _failed_to_invoke(operation, details["Message"]), exception_type
            ) from error


Executor = Callable[[StepContext, dict[str, Any]], Mapping[str, Any]]
"""Runs a step with its resolved arguments; returns the properties that other steps can refer to."""


def run_training(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Run a training job; the properties are DescribeTrainingJob's response."""
    client = context.client("sagemaker")
    name = context.resource_name(arguments.pop("TrainingJobName", None))
    response = context.call(
        "CreateTrainingJob", client.create_training_job, TrainingJobName=name, **arguments
    )
    context.metadata["TrainingJob"] = {"Arn": response["TrainingJobArn"]}
    context.on_stop = lambda: client.stop_training_job(TrainingJobName=name)
    context.training.wait(name)
    job = client.describe_training_job(TrainingJobName=name)
    return _check_ended(job, job["TrainingJobStatus"], job["SecondaryStatus"])


def run_processing(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Run a processing job; the properties are DescribeProcessingJob's response."""
    client = context.client("sagemaker")
    name = context.resource_name(arguments.pop("ProcessingJobName", None))
    response = context.call(
        "CreateProcessingJob", client.create_processing_job, ProcessingJobName=name, **arguments
    )
    context.metadata["ProcessingJob"] = {"Arn": response["ProcessingJobArn"]}
    context.on_stop = lambda: client.stop_processing_job(ProcessingJobName=name)
    context.processing.wait(name)
    job = client.describe_processing_job(ProcessingJobName=name)
    return _check_ended(job, job["ProcessingJobStatus"], job["ProcessingJobStatus"])


def register_model(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Create a model package; its MetadataProperties contain the execution's ARN."""
    client = context.client("sagemaker")
    origin = {**arguments.pop("MetadataProperties", {}), "GeneratedBy": context.execution_arn}
    response = context.call(
        "CreateModelPackage", client.create_model_package, MetadataProperties=origin, **arguments
    )
    context.metadata["RegisterModel"] = {"Arn": response["ModelPackageArn"]}
    return client.describe_model_package(ModelPackageName=response["ModelPackageArn"])


def create_model(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Create a model."""
    client = context.client("sagemaker")
    name = context.resource_name(arguments.pop("ModelName", None))
    response = context.call("CreateModel", client.create_model, ModelName=name, **arguments)
    context.metadata["Model"] = {"Arn": response["ModelArn"]}
    return client.describe_model(ModelName=name)


def invoke_function(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Invoke a Lambda function; the declared outputs are keys of the object that it returns."""
    function_arn = context.step.raw["FunctionArn"]
    context.metadata["Lambda"] = {"Arn": function_arn}
    answer: Future[dict[str, Any]] = Future()

    def call() -> None:
        try:
            client = context.client("lambda")
            answer.set_result(client.invoke(FunctionName=function_arn, Payload=json.dumps(arguments)))
        except Exception as error:
            answer.set_exception(error)

    run_in_background(context.region.host, f"lambda step {context.step.name}", call)
    try:
        response = context.call("lambda:Invoke", answer.result, timeout=LAMBDA_TIMEOUT_S)
    except TimeoutError as error:
        raise PipelineStepError(
            f"ClientError: Lambda step timed out after {LAMBDA_TIMEOUT_S} seconds"
        ) from error
    payload = response["Payload"].read().decode()
    if "FunctionError" in response:
        raise PipelineStepError(f"ClientError: Lambda function {function_arn} failed: {payload}")
    outputs = _declared_outputs(context.step, json.loads(payload or "null"))
    listed = [{"Name": name, "Value": _to_text(value)} for name, value in outputs.items()]
    context.metadata["Lambda"]["OutputParameters"] = listed
    return {"OutputParameters": outputs}


def evaluate_conditions(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Evaluate the conditions; the outcome is true when all of them are."""
    try:
        outcome = all(conditions.evaluate(condition) for condition in arguments["Conditions"])
    except PipelineExpressionError as error:
        raise PipelineStepError(f"ClientError: {error}") from error
    context.metadata["Condition"] = {"Outcome": str(outcome)}
    return {"Outcome": str(outcome).lower()}


def fail_execution(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Fail with the definition's error message."""
    message = str(arguments.get("ErrorMessage", ""))
    context.metadata["Fail"] = {"ErrorMessage": message}
    raise PipelineStepError(message)


EXECUTORS: dict[str, Executor] = {
    "Training": run_training,
    "Processing": run_processing,
    "RegisterModel": register_model,
    "Model": create_model,
    "Lambda": invoke_function,
    "Condition": evaluate_conditions,
    "Fail": fail_execution,
}


def _check_ended(job: dict[str, Any], status: str, detail: str) -> Mapping[str, Any]:
    if status == "Completed":
        return job
    if status == "Stopped" and detail == "Stopped":
        raise StepStoppedError
    reason = job.get("FailureReason") or f"ClientError: The job ended as {detail}"
    internal = reason.startswith("InternalServerError")
    raise PipelineStepError(reason, "SageMaker.JOB_INTERNAL_ERROR" if internal else None)


def _declared_outputs(step: PipelineStep, returned: Any) -> dict[str, Any]:
    declared = [item["OutputName"] for item in step.raw.get("OutputParameters", [])]
    values = returned if isinstance(returned, dict) else {}
    if missing := [name for name in declared if name not in values]:
        raise PipelineStepError(f"ClientError: the Lambda function returned no output {', '.join(missing)}")
    return {name: values[name] for name in declared}


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _failed_to_invoke(operation: str, details: str) -> str:
    name = operation if ":" in operation else f"sagemaker:{operation}"
    return f"ClientError: Failed to invoke {name}. Error Details: {details}"
