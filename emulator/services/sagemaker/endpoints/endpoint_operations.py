"""Endpoint operations: create, update (blue/green), invoke and delete; moto stores the endpoints."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from emulator.provider import Forward
from emulator.region import Region
from emulator.services.sagemaker.background import log_exception, run_in_background
from emulator.services.sagemaker.endpoints.deployment import (
    Rollout,
    RolloutFailedError,
    RolloutPolicy,
    find_alarms,
    variants_in_step,
)
from emulator.services.sagemaker.endpoints.fleet import EndpointFleet
from emulator.services.sagemaker.endpoints.invocation import invoke
from emulator.services.sagemaker.endpoints.traffic import RunningEndpoint
from emulator.services.sagemaker.endpoints.variant import variant_specs
from emulator.services.sagemaker.errors import invalid
from emulator.services.sagemaker.events import EventPublisher, tag_map
from emulator.services.sagemaker.times import now
from emulator.wire import Operation, Request, Response

log = logging.getLogger("emulator.services.sagemaker.endpoints")
BUSY_STATUSES = ("Creating", "Updating", "RollingBack", "Deleting")


class Endpoints:
    """Endpoints of one region."""

    def __init__(self, region: Region, forward: Forward, events: EventPublisher, max_baking_s: float) -> None:
        self.region = region
        self._forward = forward
        self._events = events
        self._max_baking_s = max_baking_s
        self._lock = threading.RLock()
        self._endpoints: dict[str, RunningEndpoint] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {
            "CreateEndpoint": self.create,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.update_weights_and_capacities,
            "DeleteEndpoint": self.delete,
        }

    # -- operations -----------------------------------------------------------------------------
    def create(self, request: Request) -> Response:
        """CreateEndpoint: status Creating until the containers answer pings."""
        spec = request.json
        name = spec["EndpointName"]
        with self._lock:
            if name in self._backend.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{self._arn(name)}".')
            config_name = spec["EndpointConfigName"]
            specs = variant_specs(self.region, config_name)
            policy = self._policy(spec.get("DeploymentConfig"), [each.summary() for each in specs])
            fleet = EndpointFleet(self.region, name, config_name, specs)
            response = self._forward(request)
            if response.status != 200:
                return response
            endpoint = self._endpoints[name] = RunningEndpoint(self._backend.endpoints[name])
            endpoint.record.production_variants = None
            endpoint.record.last_deployment_config = spec.get("DeploymentConfig")
            endpoint.record.endpoint_status = "Creating"
        self._publish_state(endpoint)
        self._in_background(f"create endpoint {name}", lambda: self._deploy_first(endpoint, fleet, policy))
        return response

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateEndpoint: blue/green deployment of another endpoint configuration."""
        spec = request.json
        name, config_name = spec["EndpointName"], spec["EndpointConfigName"]
        with self._lock:
            endpoint = self._find_updatable(name)
            record = endpoint.record
            config = spec.get("DeploymentConfig")
            if config is None and spec.get("RetainDeploymentConfig"):
                config = record.last_deployment_config
            specs = variant_specs(self.region, config_name)
            fleet = EndpointFleet(self.region, name, config_name, specs)
            summaries = [variant.summary() for variant in specs]
            if spec.get("RetainAllVariantProperties"):
                excluded = spec.get("ExcludeRetainedVariantProperties", [])
                _retain_properties(summaries, record.production_variants, excluded)
            policy = self._policy(config, summaries)
            self._check_alarms(policy)
            record.last_deployment_config = config
            record.failure_reason = None
            record.pending_deployment_summary = {
                "EndpointConfigName": config_name,
                "ProductionVariants": variants_in_step(summaries, 0.0),
                "StartTime": now(),
            }
            self._set_status(endpoint, "Updating")
        self._publish_state(endpoint)
        self._in_background(
            f"update endpoint {name}", lambda: self._deploy_update(endpoint, fleet, policy, summaries)
        )
        return {"EndpointArn": record.arn}

    def update_weights_and_capacities(self, request: Request) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities: a weight or count that the request does not name stays."""
        spec = request.json
        with self._lock:
            endpoint = self._find_updatable(spec["EndpointName"])
            desired = {item["VariantName"]: item for item in spec["DesiredWeightsAndCapacities"]}
            if len(desired) < len(spec["DesiredWeightsAndCapacities"]):
                raise invalid("DesiredWeightsAndCapacities: a variant name is not unique")
            variants = endpoint.record.production_variants
            if unknown := desired.keys() - {variant["VariantName"] for variant in variants}:
                raise invalid(
                    f"DesiredWeightsAndCapacities: {', '.join(sorted(unknown))}: no such variant in "
                    f'endpoint configuration "{endpoint.record.endpoint_config_name}"'
                )
            # One assignment: an invocation that picks its variant meanwhile sees all of it or nothing.
            endpoint.record.production_variants = [
                {**variant, **_desired_properties(desired.get(variant["VariantName"], {}))}
                for variant in variants
            ]
            endpoint.record.last_modified_time = now()
        return {"EndpointArn": endpoint.record.arn}

    def delete(self, request: Request) -> Response:
        """DeleteEndpoint: ends the containers."""
        name = request.json["EndpointName"]
        with self._lock:
            endpoint = self._endpoints.get(name)
            if endpoint is not None and endpoint.record.endpoint_status in BUSY_STATUSES:
                raise invalid(f'Cannot update in-progress endpoint "{endpoint.record.arn}".')
            response = self._forward(request)
            if endpoint is None or response.status != 200:
                return response
            del self._endpoints[name]
            blue = endpoint.remove_blue()
            self._set_status(endpoint, "Deleting")
        self._publish_state(endpoint)
        if blue is not None:
            self._in_background(f"delete endpoint {name}", blue.stop)
        return response

    def invoke(self, request: Request, match: re.Match[str]) -> Response:
        """InvokeEndpoint."""
        return invoke(self.region, match["name"], self._endpoints.get(match["name"]), request)

    # -- deployments ----------------------------------------------------------------------------
    def _deploy_first(self, endpoint: RunningEndpoint, fleet: EndpointFleet, policy: RolloutPolicy) -> None:
        endpoint.add_green(fleet)
        try:
            Rollout(self.region, fleet, policy, lambda _: None).run()
        except Exception as error:
            endpoint.remove_green()
            fleet.stop()
            self._end_deployment(endpoint, "Failed", self._failure_reason(error))
            return
        endpoint.record.production_variants = [variant.spec.summary() for variant in fleet.variants.values()]
        endpoint.promote_green()
        self._end_deployment(endpoint, "InService", None)

    def _deploy_update(
        self,
        endpoint: RunningEndpoint,
        green: EndpointFleet,
        policy: RolloutPolicy,
        summaries: list[dict[str, Any]],
    ) -> None:
        def take_step(share: float) -> None:
            endpoint.set_green_share(share)
            log.info(
                "%s: %.0f%% of the traffic to %s",
                endpoint.record.endpoint_name,
                100 * share,
                green.config_name,
            )
            pending = endpoint.record.pending_deployment_summary
            pending["ProductionVariants"] = variants_in_step(summaries, share)

        endpoint.add_green(green)
        try:
            Rollout(self.region, green, policy, take_step).run()
        except Exception as error:
            endpoint.remove_green()
            self._set_status(endpoint, "RollingBack")
            self._publish_state(endpoint)
            green.stop()
            self._end_deployment(endpoint, "InService", self._failure_reason(error))
            return
        endpoint.record.endpoint_config_name = green.config_name
        endpoint.record.production_variants = summaries
        blue = endpoint.promote_green()
        self._end_deployment(endpoint, "InService", None)
        if blue is not None:
            blue.stop()

    def _end_deployment(self, endpoint: RunningEndpoint, status: str, reason: str | None) -> None:
        endpoint.record.failure_reason = reason
        endpoint.record.pending_deployment_summary = None
        self._set_status(endpoint, status)
        self._publish_state(endpoint)

    # -- helpers --------------------------------------------------------------------------------
    @property
    def _backend(self) -> Any:
        """moto's SageMaker."""
        return self.region.backend("sagemaker")

    def _arn(self, name: str) -> str:
        return self.region.arn("sagemaker", f"endpoint/{name}")

    def _in_background(self, name: str, work: Callable[[], None]) -> None:
        run_in_background(self.region.host, name, work)

    def _policy(
        self, deployment_config: dict[str, Any] | None, summaries: list[dict[str, Any]]
    ) -> RolloutPolicy:
        n_instances = min(int(summary["DesiredInstanceCount"]) for summary in summaries)
        return RolloutPolicy.from_config(deployment_config or {}, n_instances, self._max_baking_s)

    def _find_updatable(self, name: str) -> RunningEndpoint:
        if name not in self._endpoints:
            raise invalid(f'Could not find endpoint "{self._arn(name)}".')
        endpoint = self._endpoints[name]
        arn, status = endpoint.record.arn, endpoint.record.endpoint_status
        if status in BUSY_STATUSES:
            raise invalid(f'Cannot update in-progress endpoint "{arn}".')
        if status == "Failed":
            raise invalid(f'Cannot update endpoint "{arn}" with status "Failed".')
        return endpoint

    def _check_alarms(self, policy: RolloutPolicy) -> None:
        if policy.alarms:
            found = {alarm["AlarmName"] for alarm in find_alarms(self.region, policy.alarms)}
            if missing := [name for name in policy.alarms if name not in found]:
                raise invalid(f"AutoRollbackConfiguration: there is no alarm {', '.join(missing)}")

    def _failure_reason(self, error: Exception) -> str:
        if isinstance(error, RolloutFailedError):
            return str(error)
        log_exception(self.region.host, "deployment")
        return f"Request to service failed: the emulator: {type(error).__name__}: {error}"

    def _set_status(self, endpoint: RunningEndpoint, status: str) -> None:
        endpoint.record.endpoint_status = status
        endpoint.record.last_modified_time = now()

    def _publish_state(self, endpoint: RunningEndpoint) -> None:
        """Publish the state; events write the status as IN_SERVICE, the API as InService."""
        record = endpoint.record
        detail = {
            "EndpointName": record.endpoint_name,
            "EndpointArn": record.arn,
            "EndpointConfigName": record.endpoint_config_name,
            "ProductionVariants": record.production_variants or [],
            "EndpointStatus": re.sub(r"(?<!^)(?=[A-Z])", "_", record.endpoint_status).upper(),
            "FailureReason": record.failure_reason,
            "CreationTime": record.creation_time,
            "LastModifiedTime": record.last_modified_time,
            "Tags": tag_map(record.tags),
        }
        self._events.publish("SageMaker Endpoint State Change", detail, [record.arn])


def _desired_properties(item: Mapping[str, Any]) -> dict[str, Any]:
    """Instance count and weight of one variant, as far as a request names them; both apply at once."""
    return {
        f"{prefix}{name}": item[f"Desired{name}"]
        for name in ("InstanceCount", "Weight")
        if f"Desired{name}" in item
        for prefix in ("Current", "Desired")
    }


def _retain_properties(
    summaries: list[dict[str, Any]], current: list[dict[str, Any]] | None, excluded: list[dict[str, str]]
) -> None:
    """Keep the variants' current instance counts and weights (RetainAllVariantProperties)."""
    excluded_types = {item["VariantPropertyType"] for item in excluded}
    before = {item["VariantName"]: item for item in current or []}
    for summary in summaries:
        for name in ("InstanceCount", "Weight"):
            current_value = before.get(summary["VariantName"], {}).get(f"Desired{name}")
            if current_value is not None and f"Desired{name}" not in excluded_types:
                summary[f"Current{name}"] = summary[f"Desired{name}"] = current_value
