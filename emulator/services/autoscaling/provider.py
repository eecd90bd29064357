"""Application Auto Scaling: checks, and tags of scalable targets. moto stores them; nothing scales."""

from __future__ import annotations

import json
from typing import Any

from emulator import moto_state
from emulator.provider import Forward, Provider
from emulator.tags import Tags
from emulator.wire import Operation, Request, Response, ServiceError

TARGET = "AnyScaleFrontendService"
CAPACITIES = {"MinCapacity": "min_capacity", "MaxCapacity": "max_capacity"}
CONFIGURATIONS = {
    "StepScaling": "StepScalingPolicyConfiguration",
    "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
}
SCALABLE = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class AutoScalingProvider(Provider):
    """Tags, checks of targets and policies, and deregistration, which deletes the policies of a target."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._tags = Tags()

    def operations(self) -> dict[str, Operation]:
        """Operations on scalable targets and their tags."""
        handlers: dict[str, Operation] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "ListTagsForResource": self._list_tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }
        return {f"{TARGET}.{name}": handler for name, handler in handlers.items()}

    def _register(self, request: Request) -> Response:
        """An update keeps the members that it leaves out (API reference, RegisterScalableTarget)."""
        spec = request.json
        known = self._target(request)
        capacities: list[int] = []
        for name, attribute in CAPACITIES.items():
            capacity = spec.get(name, getattr(known, attribute, None))
            if capacity is None:
                raise _invalid(f"{name} is required to register a new scalable target")
            capacities.append(capacity)
        low, high = capacities
        if low > high:
            raise _invalid(f"Maximum capacity cannot be less than minimum capacity: {high} and {low}")
        response = self._forward(request)
        if response.status == 200:
            arn = json.loads(response.encoded()[0])["ScalableTargetARN"]
            self._tags.add(arn, request.json.get("Tags", {}))
        return response

    def _put_policy(self, request: Request) -> Response:
        spec, name = request.json, request.json.get("PolicyName")
        if self._target(request) is None:
            raise _not_found("scalable target", spec)
        is_new = not any(
            policy.policy_name == name and policy.resource_id == spec.get("ResourceId")
            for policy in _backend(request).policies.values()
        )
        kind = spec.get("PolicyType", "StepScaling")
        configuration = CONFIGURATIONS.get(kind)
        if is_new and configuration is not None and not spec.get(configuration):
            raise _invalid(f"{configuration} is required for a policy of type {kind}")
        return self._forward(request)

    @staticmethod
    def _target(request: Request) -> Any:
        """The scalable target of a request; None if it is not registered."""
        spec = request.json
        return _backend(request).targets.get(spec.get("ScalableDimension"), {}).get(spec.get("ResourceId"))

    def _deregister(self, request: Request) -> dict[str, Any]:
        spec, backend = request.json, _backend(request)
        targets = backend.targets.get(spec.get("ScalableDimension"), {})
        target = targets.pop(spec.get("ResourceId"), None)
        if target is None:
            raise _not_found("scalable target", spec)
        self._tags.forget(target.arn)
        for key, policy in list(backend.policies.items()):
            if policy.resource_id == target.resource_id and (
                policy.scalable_dimension == target.scalable_dimension
            ):
                del backend.policies[key]
        return {}

    def _delete_policy(self, request: Request) -> Response:
        spec = request.json
        found = any(
            policy.policy_name == spec.get("PolicyName") and policy.resource_id == spec.get("ResourceId")
            for policy in _backend(request).policies.values()
        )
        if not found:
            raise _not_found("scaling policy", spec)
        return self._forward(request)

    def _list_tags(self, request: Request) -> dict[str, Any]:
        return {"Tags": self._tags.of(_target_arn(request))}

    def _tag(self, request: Request) -> None:
        self._tags.add(_target_arn(request), request.json["Tags"])

    def _untag(self, request: Request) -> None:
        self._tags.remove(_target_arn(request), request.json["TagKeys"])


def _backend(request: Request) -> Any:
    """moto's Application Auto Scaling."""
    return moto_state.backend("applicationautoscaling", request.region)


def _target_arn(request: Request) -> str:
    """ARN of the request, if a scalable target has it."""
    arn = str(request.json.get("ResourceARN", ""))
    targets = _backend(request).targets.values()
    if not any(target.arn == arn for by_id in targets for target in by_id.values()):
        raise ServiceError("ResourceNotFoundException", f"The resource {arn} does not exist.")
    return arn


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def _not_found(noun: str, spec: dict[str, Any]) -> ServiceError:
    namespace, resource, dimension = (spec.get(name) for name in SCALABLE)
    return ServiceError(
        "ObjectNotFoundException",
        f"No {noun} found for service namespace: {namespace}, resource ID: {resource}, "
        f"scalable dimension: {dimension}",
    )
