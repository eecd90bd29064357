"""Creators of scalable targets and scaling policies."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator
from local.deploy.inputs import Inputs

MAX_POLICY_NAME = 256  # Application Auto Scaling API, PutScalingPolicy
SCALABLE = {
    "serviceNamespace": "ServiceNamespace",
    "resourceId": "ResourceId",
    "scalableDimension": "ScalableDimension",
}


def target(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    autoscaling = context.client("application-autoscaling")
    scalable = inputs.pick(SCALABLE)
    sent = {**scalable, **inputs.pick({"minCapacity": "MinCapacity", "maxCapacity": "MaxCapacity"})}
    tags = inputs.plain("tags", {})
    autoscaling.register_scalable_target(**sent, Tags=tags)
    (read,) = autoscaling.describe_scalable_targets(
        ServiceNamespace=scalable["ServiceNamespace"], ResourceIds=[scalable["ResourceId"]]
    )["ScalableTargets"]
    kept = autoscaling.list_tags_for_resource(ResourceARN=read["ScalableTargetARN"])
    inputs.compare({**sent, "Tags": tags}, {**read, **kept})
    return scalable["ResourceId"], {"arn": read["ScalableTargetARN"], "roleArn": read.get("RoleARN")}


def policy(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    autoscaling = context.client("application-autoscaling")
    sent = {
        "PolicyName": context.name_of(inputs, name, max_length=MAX_POLICY_NAME),
        **inputs.pick({"policyType": "PolicyType", **SCALABLE}),
    }
    if tracking := inputs.block("targetTrackingScalingPolicyConfiguration"):
        sent["TargetTrackingScalingPolicyConfiguration"] = {
            **tracking.pick(
                {
                    "targetValue": "TargetValue",
                    "scaleInCooldown": "ScaleInCooldown",
                    "scaleOutCooldown": "ScaleOutCooldown",
                    "disableScaleIn": "DisableScaleIn",
                }
            ),
            **_metric(tracking),
        }
    arn = autoscaling.put_scaling_policy(**sent)["PolicyARN"]
    policies = autoscaling.describe_scaling_policies(
        ServiceNamespace=sent["ServiceNamespace"], ResourceId=sent["ResourceId"]
    )["ScalingPolicies"]
    inputs.compare(sent, next(policy for policy in policies if policy["PolicyARN"] == arn))
    return sent["PolicyName"], {"arn": arn, "name": sent["PolicyName"], "alarmArns": []}


def _metric(tracking: Inputs) -> dict[str, Any]:
    if metric := tracking.block("predefinedMetricSpecification"):
        return {
            "PredefinedMetricSpecification": metric.pick({"predefinedMetricType": "PredefinedMetricType"})
        }
    return {}


CREATORS: dict[str, Creator] = {
    "aws:appautoscaling/target:Target": target,
    "aws:appautoscaling/policy:Policy": policy,
}
