"""What each type of pipeline step does. A step is a client of SageMaker like any other."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from emulator.services.sagemaker import conditions
from emulator.services.sagemaker.definition import Step
from emulator.services.sagemaker.expressions import ExpressionError
from emulator.services.sagemaker.jobs import JobBook
from emulator.services.sagemaker.site import Site

LAMBDA_LIMIT_S = 600  # developer guide, Lambda step: at most ten minutes
MAX_JOB_NAME = 63  # API reference, TrainingJobName
_RANDOM = string.ascii_letters + string.digits
_RETRYABLE = {"ThrottlingException": "Step.THROTTLING", "ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT"}


class StepFailedError(Exception):
    """A step that failed; the message is its FailureReason.

    Attributes:
        kind: the exception type by which a retry policy finds it, None when no policy can.
    """

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind


class StepStoppedError(Exception):
    """A step that was stopped with its execution."""


@dataclass
class StepContext:
    """What a step may use.

    Attributes:
        execution_id, execution_arn: the execution that it belongs to.
        training, processing: the region's jobs.
        metadata: the step's Metadata, as ListPipelineExecutionSteps shows it; steps fill it in.
        on_stop: called when the execution is stopped while the step runs; None does nothing.
    """

    site: Site
    step: Step
    execution_id: str
    execution_arn: str
    training: JobBook
    processing: JobBook
    metadata: dict[str, Any]
    on_stop: Callable[[], Any] | None = None

    def name_for(self, prefix: str | None) -> str:
        """A job's name: ``pipelines-<execution id>-<step>-<random>``, or with the given prefix in front."""
        suffix = "".join(secrets.choice(_RANDOM) for _ in range(10))
        head = f"{prefix or 'pipelines'}-{self.execution_id}-{self.step.name}"
        return f"{head[: MAX_JOB_NAME - len(suffix) - 1]}-{suffix}"

    def call(self, operation: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        """A call of a SageMaker operation.

        Raises:
            StepFailedError: the request is invalid, or the service refused it.
        """
        try:
            return call(**arguments)
        except ParamValidationError as error:
            raise StepFailedError(_failed_to_invoke(operation, str(error).replace("\n", " "))) from error
        except ClientError as error:
            details = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            kind = _RETRYABLE.get(details["Code"]) or ("Step.SERVICE_FAULT" if status >= 500 else None)
            raise StepFailedError(_failed_to_invoke(operation, details["Message"]), kind) from error


Executor = Callable[[StepContext, dict[str, Any]], Mapping[str, Any]]  # gives the step's properties


def train(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """A training job; its description is what later steps may refer to."""
    client = context.site.client("sagemaker")
    name = context.name_for(arguments.pop("TrainingJobName", None))
    made = context.call("CreateTrainingJob", client.create_training_job, TrainingJobName=name, **arguments)
    context.metadata["TrainingJob"] = {"Arn": made["TrainingJobArn"]}
    context.on_stop = lambda: client.stop_training_job(TrainingJobName=name)
    context.training.wait(name)
    job = client.describe_training_job(TrainingJobName=name)
    return _ended(job, job["TrainingJobStatus"], job["SecondaryStatus"])


def process(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """A processing job."""
    client = context.site.client("sagemaker")
    name = context.name_for(arguments.pop("ProcessingJobName", None))
    made = context.call(
        "CreateProcessingJob", client.create_processing_job, ProcessingJobName=name, **arguments
    )
    context.metadata["ProcessingJob"] = {"Arn": made["ProcessingJobArn"]}
    context.on_stop = lambda: client.stop_processing_job(ProcessingJobName=name)
    context.processing.wait(name)
    job = client.describe_processing_job(ProcessingJobName=name)
    return _ended(job, job["ProcessingJobStatus"], job["ProcessingJobStatus"])


def register(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """A new version in a model package group; it says which execution made it."""
    client = context.site.client("sagemaker")
    origin = {**arguments.pop("MetadataProperties", {}), "GeneratedBy": context.execution_arn}
    made = context.call(
        "CreateModelPackage", client.create_model_package, MetadataProperties=origin, **arguments
    )
    context.metadata["RegisterModel"] = {"Arn": made["ModelPackageArn"]}
    return client.describe_model_package(ModelPackageName=made["ModelPackageArn"])


def create_model(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """A model."""
    client = context.site.client("sagemaker")
    name = context.name_for(arguments.pop("ModelName", None))
    made = context.call("CreateModel", client.create_model, ModelName=name, **arguments)
    context.metadata["Model"] = {"Arn": made["ModelArn"]}
    return client.describe_model(ModelName=name)


def invoke(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """A Lambda function; the outputs that the step declares are keys of the object that it returns."""
    function_arn = context.step.raw["FunctionArn"]
    context.metadata["Lambda"] = {"Arn": function_arn}
    answer: Future[dict[str, Any]] = Future()

    def call() -> None:
        try:
            client = context.site.client("lambda")
            answer.set_result(client.invoke(FunctionName=function_arn, Payload=json.dumps(arguments)))
        except Exception as error:
            answer.set_exception(error)

    context.site.background(f"lambda step {context.step.name}", call)
    try:
        response = context.call("lambda:Invoke", answer.result, timeout=LAMBDA_LIMIT_S)
    except TimeoutError as error:
        raise StepFailedError(f"ClientError: Lambda step timed out after {LAMBDA_LIMIT_S} seconds") from error
    payload = response["Payload"].read().decode()
    if "FunctionError" in response:
        raise StepFailedError(f"ClientError: Lambda function {function_arn} failed: {payload}")
    outputs = _outputs(context.step, json.loads(payload or "null"))
    listed = [{"Name": name, "Value": _text(value)} for name, value in outputs.items()]
    context.metadata["Lambda"]["OutputParameters"] = listed
    return {"OutputParameters": outputs}


def decide(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """True when every condition holds."""
    try:
        outcome = all(conditions.holds(condition) for condition in arguments["Conditions"])
    except ExpressionError as error:
        raise StepFailedError(f"ClientError: {error}") from error
    context.metadata["Condition"] = {"Outcome": str(outcome)}
    return {"Outcome": str(outcome).lower()}


def fail(context: StepContext, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """Fails with the message that the definition gives it."""
    message = str(arguments.get("ErrorMessage", ""))
    context.metadata["Fail"] = {"ErrorMessage": message}
    raise StepFailedError(message)


EXECUTORS: dict[str, Executor] = {
    "Training": train,
    "Processing": process,
    "RegisterModel": register,
    "Model": create_model,
    "Lambda": invoke,
    "Condition": decide,
    "Fail": fail,
}


def _ended(job: dict[str, Any], status: str, detail: str) -> Mapping[str, Any]:
    if status == "Completed":
        return job
    if status == "Stopped" and detail == "Stopped":
        raise StepStoppedError
    reason = job.get("FailureReason") or f"ClientError: The job ended as {detail}"
    kind = "SageMaker.JOB_INTERNAL_ERROR" if reason.startswith("InternalServerError") else None
    raise StepFailedError(reason, kind)


def _outputs(step: Step, returned: Any) -> dict[str, Any]:
    declared = [item["OutputName"] for item in step.raw.get("OutputParameters", [])]
    values = returned if isinstance(returned, dict) else {}
    if missing := [name for name in declared if name not in values]:
        raise StepFailedError(f"ClientError: the Lambda function returned no output {', '.join(missing)}")
    return {name: values[name] for name in declared}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _failed_to_invoke(operation: str, details: str) -> str:
    name = operation if ":" in operation else f"sagemaker:{operation}"
    return f"ClientError: Failed to invoke {name}. Error Details: {details}"
