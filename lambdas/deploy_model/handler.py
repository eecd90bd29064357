"""Keeps the endpoint on the newest approved model package that was not rolled back.

Invoked by the pipeline's step NCFDeploy and by people with ``{"model_package_arn", "model_name"?}``, and
by EventBridge with "SageMaker Model Package State Change" (a person approved or rejected) and
"SageMaker Endpoint State Change" (a rollout ended, or another one could begin). It never waits: a
rollout is begun here and its end is an event. Every invocation may be repeated, in any order.

What came of a package is written in its customer metadata: ``deployment`` (Requested, Deployed,
RolledBack, Waiting), ``endpoint_config`` and ``model``. A package that was rolled back is tried again
when it is asked for again, by an approval or by an invocation.

Environment:
    ENDPOINT_NAME: the endpoint, exactly.
    MODEL_PACKAGE_GROUP: the group whose packages are served.
    MODEL_ROLE_ARN: what a model that is made here runs as.
    VARIANT_NAME: the variant's name, constant as autoscaling is registered on it.
    INSTANCE_TYPE, INITIAL_INSTANCE_COUNT: what serves; the count holds for new variants only.
    KMS_KEY_ARN: encrypts the instances' volumes.
    ROLLOUT: all_at_once, canary or linear.
    STEP_PERCENT: the canary's or a step's share of the capacity, 1 to 50.
    WAIT_S: seconds for which each step is watched, and the old fleet kept afterwards.
    ALARM_NAMES: JSON list of the CloudWatch alarms that take a rollout back.
    KEEP_LAST: how many endpoint configs, with their models, are kept.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError
from logic import (
    DEPLOYMENT,
    ENDPOINT_CONFIG,
    ENDPOINT_SEEN,
    MODEL,
    REQUESTED,
    ROLLED_BACK,
    WAITING,
    Endpoint,
    Ignored,
    Package,
    Promotion,
    Variant,
    configs_to_delete,
    decide,
    deployment_config,
    desired_package,
    is_ours,
    outcome,
    request_of,
    resource_name,
)
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
    os.environ["ROLLOUT"],  # type: ignore[arg-type]  # the stage's config knows no other values
    int(os.environ["STEP_PERCENT"]),
    int(os.environ["WAIT_S"]),
    json.loads(os.environ["ALARM_NAMES"]),
)

logger = Logger(service="deploy_model")
sagemaker = SageMaker(
    boto3.client(
        "sagemaker",
        config=Config(
            connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4}
        ),
    )
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    """Do what the event asks for, and say what came of it.

    Returns:
        ``endpoint_config_name`` (empty if there is none) and ``status``: ``Deploying``, ``AlreadyDeploying``,
        ``AlreadyDeployed``, ``Deferred`` (until the rollout under way ends), ``AwaitingApproval``,
        ``Rejected``, ``Superseded`` (a newer package is approved), ``NothingApproved`` or ``Ignored``.

    Raises:
        InputError: the event is of no known kind.
        EndpointError: the endpoint is in a state that only a person can end.
    """
    request = request_of(event, endpoint_name=ENDPOINT_NAME, group=MODEL_PACKAGE_GROUP)
    if isinstance(request, Ignored):
        return _answer("Ignored", reason=request.reason)
    if isinstance(request, Promotion):
        return _promote(request)
    return _reconcile()


def _promote(request: Promotion) -> dict[str, str]:
    package = sagemaker.package(request.package_arn)
    if request.model_name:
        package = sagemaker.annotate(package, **{MODEL: request.model_name})
    if package.approval != "Approved":
        status = "Rejected" if package.approval == "Rejected" else "AwaitingApproval"
        return _answer(status, package=package)
    if package.metadata.get(DEPLOYMENT) == ROLLED_BACK:
        sagemaker.annotate(package, **{DEPLOYMENT: WAITING})
    return _reconcile(wanted=package)


def _reconcile(wanted: Package | None = None) -> dict[str, str]:
    """Settle what a rollout came to, begin the one that is due, and clear away what is old."""
    endpoint = sagemaker.endpoint(ENDPOINT_NAME)
    packages = [_settle(package, endpoint) for package in sagemaker.approved_packages(MODEL_PACKAGE_GROUP)]
    package = desired_package(packages)
    if package is None:
        return _answer("NothingApproved")
    config_name = resource_name(ENDPOINT_NAME, package, VARIANT)
    status = decide(endpoint, config_name)
    if status == "Deploy":
        status = _deploy(package, endpoint, config_name)
    elif endpoint.settled:
        _clear_away(endpoint)
    if wanted is not None and wanted.arn != package.arn:
        return _answer("Superseded", package=wanted)
    return _answer(status, package=package, config_name=config_name)


def _settle(package: Package, endpoint: Endpoint) -> Package:
    ended = outcome(package, endpoint)
    if ended is None:
        return package
    logger.info("rollout ended", extra={"package": package.arn, "deployment": ended})
    return sagemaker.annotate(package, **{DEPLOYMENT: ended})


def _deploy(package: Package, endpoint: Endpoint, config_name: str) -> str:
    model = sagemaker.ensure_model(package.metadata.get(MODEL), config_name, package, MODEL_ROLE_ARN)
    sagemaker.ensure_config(config_name, model, VARIANT)
    # Written before the rollout begins, so that its end finds it however soon it comes.
    sagemaker.annotate(
        package,
        **{
            DEPLOYMENT: REQUESTED,
            ENDPOINT_CONFIG: config_name,
            ENDPOINT_SEEN: endpoint.modified,
            MODEL: model,
        },
    )
    try:
        sagemaker.update_endpoint(ENDPOINT_NAME, config_name, DEPLOYMENT_CONFIG)
    except ClientError:
        now = sagemaker.endpoint(ENDPOINT_NAME)
        if now.settled:
            raise
        # Another invocation was faster; the end of what it began comes back here.
        if now.pending_config == config_name:
            return "AlreadyDeploying"
        sagemaker.annotate(package, **{DEPLOYMENT: WAITING})
        return "Deferred"
    return "Deploying"


def _clear_away(endpoint: Endpoint) -> None:
    names = sagemaker.config_names(f"{ENDPOINT_NAME}-v")
    old = configs_to_delete(names, endpoint, KEEP_LAST)
    if not old:
        return
    kept = [name for name in names if is_ours(name, ENDPOINT_NAME) and name not in old]
    in_use = set().union(*(sagemaker.model_names(name) for name in kept))
    for config_name in old:
        # Models first: a config that is still listed leads to them again, should this be cut short.
        for model_name in sagemaker.model_names(config_name) - in_use:
            sagemaker.delete_model(model_name)
        sagemaker.delete_config(config_name)
    logger.info("cleared away", extra={"endpoint_configs": old})


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
