"""Checks of RunJobFlow requests; errors name the field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from emulator.authorization import roles
from emulator.authorization.service_needs import find_profile
from emulator.region import Region
from emulator.services.emr.capacity import subnets_of, validate_capacity
from emulator.services.emr.spark_submit import SubmitError, parse_submit
from emulator.wire import ServiceError

RELEASE = re.compile(r"emr-[67]\.\d+\.\d+")  # Spark 3 on YARN
RUNNER = "command-runner.jar"
# Fields that the emulator does not support.
UNSUPPORTED = ("BootstrapActions", "SupportedProducts", "AmiVersion", "KerberosAttributes", "AutoScalingRole")


def validate_job_flow(region: Region, flow: dict[str, Any]) -> None:
    """Check a RunJobFlow request and that the resources in it exist.

    Raises:
        ServiceError: ValidationException, or InvalidRequestException for a missing resource.
    """
    for field in UNSUPPORTED:
        if flow.get(field):
            raise _invalid(f"{field}: the emulator does not support it")
    if not RELEASE.fullmatch(flow.get("ReleaseLabel", "")):
        raise _invalid(f"ReleaseLabel: The supplied release label is invalid: {flow.get('ReleaseLabel')}.")
    _check_roles(region, flow)
    validate_capacity(flow)
    _check_network(region, flow)
    name = flow.get("SecurityConfiguration")
    if name and name not in region.backend("emr").security_configurations:
        raise _missing(f"Security configuration with name '{name}' does not exist.")
    validate_steps(flow.get("Steps", []))


def validate_steps(steps: Sequence[dict[str, Any]]) -> None:
    """Check that steps run spark-submit with command-runner.jar.

    Raises:
        ServiceError: ValidationException, naming the step.
    """
    for step in steps:
        runner = step.get("HadoopJarStep", {})
        if runner.get("Jar") != RUNNER:
            raise _invalid(f"step {step['Name']}: the emulator runs {RUNNER} only, not {runner.get('Jar')}")
        try:
            parse_submit(runner.get("Args", []))
        except SubmitError as error:
            raise _invalid(f"step {step['Name']}: {error}") from error


def _check_roles(region: Region, flow: dict[str, Any]) -> None:
    iam = region.backend("iam")
    service_role = _role_arn(region, flow.get("ServiceRole", ""))
    cluster_arn = region.arn("elasticmapreduce", "cluster/*")
    try:
        trusted = roles.trusts(iam, service_role, "elasticmapreduce.amazonaws.com", cluster_arn)
    except ServiceError:
        trusted = False
    if not trusted:
        raise _invalid(f"ServiceRole: {flow.get('ServiceRole')} does not exist or does not trust EMR")
    profile = find_profile(flow.get("JobFlowRole", ""), region.place())
    if profile is None or not profile.roles:
        raise _invalid(f"JobFlowRole: Invalid InstanceProfile: {flow.get('JobFlowRole')}.")


def _role_arn(region: Region, role: str) -> str:
    return role if role.startswith("arn:") else f"arn:aws:iam::{region.account_id}:role/{role}"


def _check_network(region: Region, flow: dict[str, Any]) -> None:
    instances = flow.get("Instances", {})
    ec2 = region.backend("ec2")
    subnets = {subnet.id for subnet in ec2.describe_subnets()}
    for subnet in subnets_of(flow):
        if subnet not in subnets:
            raise _missing(f"Instances: The subnet {subnet} does not exist.")
    groups = {group.id for group in ec2.describe_security_groups()}
    for field in (
        "EmrManagedMasterSecurityGroup",
        "EmrManagedSlaveSecurityGroup",
        "ServiceAccessSecurityGroup",
    ):
        group = instances.get(field)
        if group and group not in groups:
            raise _missing(f"Instances.{field}: The security group {group} does not exist.")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def _missing(message: str) -> ServiceError:
    return ServiceError("InvalidRequestException", message)
