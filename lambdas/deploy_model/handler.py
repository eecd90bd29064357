"""Deploys a model package to the endpoint: the newest approved package that was not rolled back.

Invoked by the pipeline step NCFDeploy and by operators with ``{"model_package_arn", "model_name"?}``, and
by EventBridge with "SageMaker Model Package State Change" (a package was approved or rejected) and
"SageMaker Endpoint State Change" (a rollout ended). It starts a rollout and returns; the end of the rollout
arrives as an event. Invocations may be repeated and may arrive in any order.

When a rollout has deployed a package, its popular list is copied to the key that the API reads, and the job
of the batch recommendations starts if the stage has them. A job that failed is started again, at most twice;
an operator starts a further attempt with ``{"batch_job": NAME}``, the name of the newest job.
The result is written to the customer metadata of the package: ``deployment`` (Requested, Deployed,
RolledBack, Waiting), ``endpoint_config`` and ``model``. When the pipeline has registered a package, the
warnings and the gate's decision of its evaluation report are written to ``evaluation_warnings`` and
``evaluation_gate``, for the person who approves it. A package that was rolled back is deployed again only
after a new approval or a new invocation that names it.

Before a rollout, the alarms that roll it back are set to the new and the old endpoint config. A package that
is rejected during its rollout is rolled back at once. A rollout that returns to an endpoint config that was
deployed before moves all traffic at once and without alarms: they would compare it with the model that is to
be left. A rollout that SageMaker rolled back is notified once, whatever the reason.

Environment:
    STAGE_NAME: stage in the subject of the notification.
    TOPIC_ARN: SNS topic that receives it.
    ENDPOINT_NAME: exact name of the endpoint.
    MODEL_PACKAGE_GROUP: group whose packages are deployed.
    MODEL_ROLE_ARN: execution role of the models that this function creates.
    VARIANT_NAME: name of the production variant; constant, because autoscaling is registered on it.
    INSTANCE_TYPE, INITIAL_INSTANCE_COUNT: instances of the variant; the count applies to new variants only.
    KMS_KEY_ARN: key of the instance volumes.
    ROLLOUT: all_at_once, canary or linear.
    STEP_PERCENT: percentage of the capacity in the canary or in each linear step, 1 to 50.
    WAIT_S: seconds to monitor each step, and to keep the old fleet after the last step.
    ALARM_NAMES: JSON list of the CloudWatch alarms that roll back a rollout; see `alarms`.
    KEEP_LAST: number of endpoint configs, with their models, to keep.
    FALLBACK_BUCKET, FALLBACK_KEY: S3 object of the API's popular list.
    ROLLBACKS_PREFIX: of the objects in FALLBACK_BUCKET that say which rollbacks were notified.
    BATCH_JOB: JSON of the CreateProcessingJob request of the batch recommendations, without name and model;
        null: the stage has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import boto3
from alarms import RolloutAlarms
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from batch import MAX_ATTEMPTS, BatchJob
from batch import request as batch_request
from botocore.config import Config
from botocore.exceptions import ClientError
from logic import (
    BATCH_JOB,
    DEPLOYED,
    DEPLOYMENT,
    ENDPOINT_CONFIG,
    ENDPOINT_SEEN,
    MODEL,
    REQUESTED,
    ROLLED_BACK,
    WAITING,
    BatchRestart,
    EndpointState,
    Ignored,
    Package,
    Promotion,
    Variant,
    configs_to_delete,
    decide,
    deployment_config,
    desired_package,
    fleet_of,
    is_managed_config,
    is_return,
    outcome,
    request_of,
    resource_name,
    withdrawn_package,
)
from notification import Rollbacks
from popular import PopularLists
from report import read_metadata
from service import SageMaker

ENDPOINT_NAME = os.environ["ENDPOINT_NAME"]
MODEL_PACKAGE_GROUP = os.environ["MODEL_PACKAGE_GROUP"]
MODEL_ROLE_ARN = os.environ["MODEL_ROLE_ARN"]
KEEP_LAST = int(os.environ["KEEP_LAST"])
VARIANT = Variant(
    name=os.environ["VARIANT_NAME"],
    instance_type=os.environ["INSTANCE_TYPE"],
    initial_instance_count=int(os.environ["INITIAL_INSTANCE_COUNT"]),
    kms_key_arn=os.environ["KMS_KEY_ARN"],
)
DEPLOYMENT_CONFIG = deployment_config(
    os.environ["ROLLOUT"],  # type: ignore[arg-type]  # the stage config allows no other values
    int(os.environ["STEP_PERCENT"]),
    int(os.environ["WAIT_S"]),
    json.loads(os.environ["ALARM_NAMES"]),
)
RETURN_CONFIG = deployment_config("all_at_once", 100, 0, [])
BATCH_TEMPLATE = json.loads(os.environ["BATCH_JOB"])

logger = Logger(service="deploy_model")
config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
sagemaker = SageMaker(boto3.client("sagemaker", config=config))
s3 = boto3.client("s3", config=config)
alarms = RolloutAlarms(boto3.client("cloudwatch", config=config), json.loads(os.environ["ALARM_NAMES"]))
rollbacks = Rollbacks(
    boto3.client("sns", config=config),
    s3,
    topic_arn=os.environ["TOPIC_ARN"],
    stage=os.environ["STAGE_NAME"],
    bucket=os.environ["FALLBACK_BUCKET"],
    prefix=os.environ["ROLLBACKS_PREFIX"],
)
popular_lists = PopularLists(s3, os.environ["FALLBACK_BUCKET"], os.environ["FALLBACK_KEY"])


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Process one invocation.

    Returns:
        ``endpoint_config_name`` (empty if there is none) and ``status``: ``Deploying``, ``AlreadyDeploying``,
        ``AlreadyDeployed``, ``Deferred`` (until the current rollout ends), ``AwaitingApproval``,
        ``Rejected``, ``Superseded`` (a newer package is approved), ``Withdrawn`` (the package of the current
        rollout is no longer approved, which is rolled back), ``NothingApproved``, ``BatchStarted`` or
        ``Ignored``.

    Raises:
        EventError: the event has an unknown type, or names no batch job.
        EndpointError: the endpoint is in a state that requires an operator.
    """
    request = request_of(event, endpoint_name=ENDPOINT_NAME, group=MODEL_PACKAGE_GROUP)
    if isinstance(request, Ignored):
        return _answer("Ignored", reason=request.reason)
    if isinstance(request, Promotion):
        return _promote(request)
    if isinstance(request, BatchRestart):
        return _restart_batch(request)
    return _reconcile()


def _promote(request: Promotion) -> dict[str, str]:
    package = sagemaker.package(request.package_arn)
    if request.model_name:
        package = sagemaker.annotate(package, **{MODEL: request.model_name}, **read_metadata(s3, package))
    if package.approval != "Approved":
        status = "Rejected" if package.approval == "Rejected" else "AwaitingApproval"
        return _answer(status, package=package)
    if package.metadata.get(DEPLOYMENT) == ROLLED_BACK:
        sagemaker.annotate(package, **{DEPLOYMENT: WAITING})
    return _reconcile(requested=package)


def _reconcile(requested: Package | None = None) -> dict[str, str]:
    """Record ended rollouts, start the rollout of the desired package, and delete old endpoint configs."""
    endpoint = sagemaker.endpoint(ENDPOINT_NAME)
    packages = [
        _record_outcome(package, endpoint) for package in sagemaker.packages(MODEL_PACKAGE_GROUP, "Approved")
    ]
    if endpoint.settled:
        alarms.rest()
    elif withdrawn := withdrawn_package(sagemaker.packages(MODEL_PACKAGE_GROUP, "Rejected"), endpoint):
        return _stop_rollout(withdrawn)
    package = desired_package(packages)
    if package is None:
        return _answer("NothingApproved")
    config_name = resource_name(ENDPOINT_NAME, package, VARIANT)
    status = decide(endpoint, config_name)
    if status == "Deploy":
        status = _deploy(package, endpoint, config_name, packages)
    elif endpoint.settled:
        package = _start_batch(package)
        _delete_old_configs(endpoint, packages)
    elif endpoint.pending_config is not None:
        # Two invocations that start a rollout at once leave the alarms to either; the event of the start
        # invokes this function again.
        alarms.watch(fleet_of(endpoint.pending_config, packages), fleet_of(endpoint.config, packages))
    if requested is not None and requested.arn != package.arn:
        return _answer("Superseded", package=requested)
    return _answer(status, package=package, config_name=config_name)


def _stop_rollout(package: Package) -> dict[str, str]:
    """Roll the current rollout back, because its package was rejected."""
    alarms.stop_rollout("The approval of the package was withdrawn.")
    sagemaker.annotate(package, **{DEPLOYMENT: ROLLED_BACK})
    return _answer("Withdrawn", package=package, config_name=package.metadata[ENDPOINT_CONFIG])


def _record_outcome(package: Package, endpoint: EndpointState) -> Package:
    ended = outcome(package, endpoint)
    if ended is None:
        return package
    # Before the outcome is recorded: if this fails, the retry of the event publishes again.
    published = ended == DEPLOYED and popular_lists.publish(package)
    if ended == ROLLED_BACK and not rollbacks.notify(package, endpoint):
        # The other invocation records it, after its notification.
        return replace(package, metadata={**package.metadata, DEPLOYMENT: ended})
    logger.info(
        "rollout ended",
        extra={"package": package.arn, "deployment": ended, "popular_list_published": published},
    )
    return sagemaker.annotate(package, **{DEPLOYMENT: ended})


def _deploy(package: Package, endpoint: EndpointState, config_name: str, packages: Sequence[Package]) -> str:
    deployment = RETURN_CONFIG if is_return(package, config_name) else DEPLOYMENT_CONFIG
    model = sagemaker.ensure_model(package.metadata.get(MODEL), config_name, package, MODEL_ROLE_ARN)
    sagemaker.ensure_config(config_name, model, VARIANT)
    # Written before UpdateEndpoint: the event of the end of the rollout may arrive before this call returns.
    requested = sagemaker.annotate(
        package,
        **{
            DEPLOYMENT: REQUESTED,
            ENDPOINT_CONFIG: config_name,
            ENDPOINT_SEEN: endpoint.modified,
            MODEL: model,
        },
    )
    alarms.watch(fleet_of(config_name, [requested, *packages]), fleet_of(endpoint.config, packages))
    try:
        sagemaker.update_endpoint(ENDPOINT_NAME, config_name, deployment)
    except ClientError:
        now = sagemaker.endpoint(ENDPOINT_NAME)
        if now.settled:
            raise
        # Another invocation started a rollout first; the event of its end invokes this function again.
        if now.pending_config == config_name:
            return "AlreadyDeploying"
        sagemaker.annotate(package, **{DEPLOYMENT: WAITING})
        return "Deferred"
    return "Deploying"


def _start_batch(package: Package) -> Package:
    """Start the batch recommendations of the deployed package, once per rollout."""
    job = BatchJob.first(ENDPOINT_NAME, package)
    if package.metadata.get(DEPLOYMENT) != DEPLOYED or job.is_of_rollout(package.metadata.get(BATCH_JOB)):
        return package
    return _start_attempt(package, job)


def _restart_batch(request: BatchRestart) -> dict[str, str]:
    """Start the next attempt of a batch job that failed, if it is the newest one of the deployed package."""
    job = BatchJob.parse(request.job_name, ENDPOINT_NAME)
    if job.attempt >= MAX_ATTEMPTS and not request.by_operator:
        return _answer("Ignored", reason=f"attempt {job.attempt} of {MAX_ATTEMPTS} failed")
    package = desired_package(sagemaker.packages(MODEL_PACKAGE_GROUP, "Approved"))
    if package is None or package.metadata.get(BATCH_JOB) != job.name:
        return _answer("Ignored", reason=f"{job.name} is not the newest job of the deployed package")
    _start_attempt(package, job.next())
    return _answer("BatchStarted", package=package)


def _start_attempt(package: Package, job: BatchJob) -> Package:
    if BATCH_TEMPLATE is None:
        return package
    request = batch_request(job, package, BATCH_TEMPLATE)
    if request is None:
        logger.warning("no batch recommendations: no code", extra={"package": package.arn})
        return package
    sagemaker.start_job(request)
    logger.info("batch job started", extra={"package": package.arn, "job": job.name})
    return sagemaker.annotate(package, **{BATCH_JOB: job.name})


def _delete_old_configs(endpoint: EndpointState, packages: Sequence[Package]) -> None:
    names = sagemaker.config_names(f"{ENDPOINT_NAME}-v")
    old = configs_to_delete(names, endpoint, packages, KEEP_LAST)
    # Another invocation may have started a rollout meanwhile: the event of its end deletes them.
    if not old or sagemaker.endpoint(ENDPOINT_NAME) != endpoint:
        return
    kept = [name for name in names if is_managed_config(name, ENDPOINT_NAME) and name not in old]
    in_use = set().union(*(sagemaker.model_names(name) for name in kept))
    for config_name in old:
        # Models first: if this is interrupted, the remaining config still identifies its models.
        for model_name in sagemaker.model_names(config_name) - in_use:
            sagemaker.delete_model(model_name)
        sagemaker.delete_config(config_name)
    logger.info("old endpoint configs deleted", extra={"endpoint_configs": old})


def _answer(
    status: str, *, package: Package | None = None, config_name: str = "", reason: str = ""
) -> dict[str, str]:
    logger.info(
        status,
        extra={
            "package": package.arn if package else None,
            "endpoint_config": config_name,
            "reason": reason,
        },
    )
    return {"status": status, "endpoint_config_name": config_name}
