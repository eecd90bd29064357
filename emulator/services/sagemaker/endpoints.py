"""Endpoints: created, updated without a gap, invoked and deleted; moto keeps what DescribeEndpoint shows."""

from __future__ import annotations

import re
import threading
from typing import Any

from emulator.services.sagemaker.deployment import Rollout, RolloutFailedError, RolloutPolicy, alarms_named
from emulator.services.sagemaker.fleet import Fleet, specs_of
from emulator.services.sagemaker.invocation import LiveEndpoint, invoke
from emulator.services.sagemaker.site import Site, invalid, now, tag_map
from emulator.wire import Operation, Request, Response

BUSY = ("Creating", "Updating", "RollingBack", "Deleting")


class Endpoints:
    """The endpoints of one region."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.RLock()
        self._live: dict[str, LiveEndpoint] = {}

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {"CreateEndpoint": self.create, "UpdateEndpoint": self.update, "DeleteEndpoint": self.delete}

    # -- operations -----------------------------------------------------------------------------
    def create(self, request: Request) -> Response:
        """An endpoint, Creating until its containers answer pings."""
        spec = request.json
        name = spec["EndpointName"]
        policy = RolloutPolicy.of(spec.get("DeploymentConfig") or {})
        with self._lock:
            if name in self.site.backend.endpoints:
                raise invalid(f'Cannot create already existing endpoint "{self.site.arn("endpoint", name)}".')
            fleet = Fleet(
                self.site, name, spec["EndpointConfigName"], specs_of(self.site, spec["EndpointConfigName"])
            )
            response = self.site.forward(request)
            if response.status != 200:
                return response
            live = self._live[name] = LiveEndpoint(self.site.backend.endpoints[name])
            live.record.production_variants = None
            live.record.last_deployment_config = spec.get("DeploymentConfig")
            live.record.endpoint_status = "Creating"
        self._announce(live)
        self.site.background(f"create endpoint {name}", lambda: self._bring_up(live, fleet, policy))
        return response

    def update(self, request: Request) -> dict[str, Any]:
        """Another configuration, by blue/green deployment; the old one answers until the new one does."""
        spec = request.json
        name, config_name = spec["EndpointName"], spec["EndpointConfigName"]
        with self._lock:
            live = self._find(name)
            if live.record.endpoint_status in BUSY:
                raise invalid(f'Cannot update in-progress endpoint "{live.record.arn}".')
            if live.record.endpoint_status == "Failed":
                raise invalid(f'Cannot update endpoint "{live.record.arn}" with status "Failed".')
            config = spec.get("DeploymentConfig")
            if config is None and spec.get("RetainDeploymentConfig"):
                config = live.record.last_deployment_config
            policy = RolloutPolicy.of(config or {})
            self._check_alarms(policy)
            specs = specs_of(self.site, config_name)
            fleet = Fleet(self.site, name, config_name, specs)
            summaries = [variant.summary() for variant in specs]
            if spec.get("RetainAllVariantProperties"):
                _retain(
                    summaries,
                    live.record.production_variants,
                    spec.get("ExcludeRetainedVariantProperties", []),
                )
            live.record.last_deployment_config = config
            live.record.failure_reason = None
            live.record.pending_deployment_summary = {
                "EndpointConfigName": config_name,
                "ProductionVariants": summaries,
                "StartTime": now(),
            }
            self._set_status(live, "Updating")
        self._announce(live)
        self.site.background(f"update endpoint {name}", lambda: self._replace(live, fleet, policy, summaries))
        return {"EndpointArn": live.record.arn}

    def delete(self, request: Request) -> Response:
        """Ends an endpoint and its containers."""
        name = request.json["EndpointName"]
        with self._lock:
            live = self._live.get(name)
            if live is not None and live.record.endpoint_status in BUSY:
                raise invalid(f'Cannot update in-progress endpoint "{live.record.arn}".')
            response = self.site.forward(request)
            if live is None or response.status != 200:
                return response
            del self._live[name]
            blue = live.retire()
            self._set_status(live, "Deleting")
        self._announce(live)
        if blue is not None:
            self.site.background(f"delete endpoint {name}", blue.stop)
        return response

    def invoke(self, request: Request, match: re.Match[str]) -> Response:
        """InvokeEndpoint."""
        return invoke(self.site, match["name"], self._live.get(match["name"]), request)

    # -- deployments ----------------------------------------------------------------------------
    def _bring_up(self, live: LiveEndpoint, fleet: Fleet, policy: RolloutPolicy) -> None:
        live.prepare(fleet)
        try:
            Rollout(self.site, fleet, policy, lambda _: None).run()
        except Exception as error:
            live.abandon()
            fleet.stop()
            self._finish(live, "Failed", self._reason(error))
            return
        live.record.production_variants = [variant.spec.summary() for variant in fleet.variants.values()]
        live.switch()
        self._finish(live, "InService", None)

    def _replace(
        self, live: LiveEndpoint, green: Fleet, policy: RolloutPolicy, summaries: list[dict[str, Any]]
    ) -> None:
        live.prepare(green)
        try:
            Rollout(self.site, green, policy, live.shift).run()
        except Exception as error:
            live.abandon()
            self._set_status(live, "RollingBack")
            self._announce(live)
            green.stop()
            self._finish(live, "InService", self._reason(error))
            return
        live.record.endpoint_config_name = green.config_name
        live.record.production_variants = summaries
        blue = live.switch()
        self._finish(live, "InService", None)
        if blue is not None:
            blue.stop()

    def _finish(self, live: LiveEndpoint, status: str, reason: str | None) -> None:
        live.record.failure_reason = reason
        live.record.pending_deployment_summary = None
        self._set_status(live, status)
        self._announce(live)

    # -- helpers --------------------------------------------------------------------------------
    def _find(self, name: str) -> LiveEndpoint:
        if name not in self._live:
            raise invalid(f'Could not find endpoint "{self.site.arn("endpoint", name)}".')
        return self._live[name]

    def _check_alarms(self, policy: RolloutPolicy) -> None:
        if policy.alarms:
            found = {alarm["AlarmName"] for alarm in alarms_named(self.site, policy.alarms)}
            if missing := [name for name in policy.alarms if name not in found]:
                raise invalid(f"AutoRollbackConfiguration: there is no alarm {', '.join(missing)}")

    def _reason(self, error: Exception) -> str:
        if isinstance(error, RolloutFailedError):
            return str(error)
        self.site.report("deployment")
        return f"Request to service failed: the emulator: {type(error).__name__}: {error}"

    def _set_status(self, live: LiveEndpoint, status: str) -> None:
        live.record.endpoint_status = status
        live.record.last_modified_time = now()

    def _announce(self, live: LiveEndpoint) -> None:
        """An event; its status is written as events write it: IN_SERVICE."""
        record = live.record
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
        self.site.emit("SageMaker Endpoint State Change", detail, [record.arn])


def _retain(
    summaries: list[dict[str, Any]], current: list[dict[str, Any]] | None, excluded: list[dict[str, str]]
) -> None:
    """RetainAllVariantProperties: the counts and weights that variants have now, as autoscaling left them."""
    without = {item["VariantPropertyType"] for item in excluded}
    before = {item["VariantName"]: item for item in current or []}
    for summary in summaries:
        for name in ("InstanceCount", "Weight"):
            kept = before.get(summary["VariantName"], {}).get(f"Desired{name}")
            if kept is not None and f"Desired{name}" not in without:
                summary[f"Current{name}"] = summary[f"Desired{name}"] = kept
