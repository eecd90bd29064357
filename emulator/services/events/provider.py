"""EventBridge: delivers matched events to targets; turns S3's notifications into events.

moto stores buses, rules and targets and matches patterns. It delivers to few kinds of target, raises for
others, ignores errors of S3 events and sends the event of a multipart upload twice, so this provider delivers
the events.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from moto.events.models import Rule
from moto.s3 import notifications

from emulator import moto_state
from emulator.delivery import Backoff, DeliveryQueue, RetryPolicy
from emulator.host import Host
from emulator.moto_patches import MotoPatches
from emulator.provider import Provider
from emulator.services.events.delivery import RuleDelivery
from emulator.services.events.targets import TargetEvent, Targets

# EventBridge user guide, "Retry policy": 185 retries within 24 hours, exponential backoff with jitter. The
# service waits longer between attempts.
RETRY_POLICY = RetryPolicy(
    max_retries=185, max_age_s=86_400, backoff=Backoff(first_s=0.5, longest_s=30.0, jitter=0.5)
)
N_WORKERS = 16
S3_REASONS = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}


class EventsProvider(Provider):
    """Sends events to the targets of the rules that match them.

    Args:
        host: of the emulator.
        retry_policy: of targets; a target's own limits apply within it.
        deliveries: queue of the deliveries; for tests that change their order or number.
    """

    def __init__(
        self,
        host: Host,
        retry_policy: RetryPolicy = RETRY_POLICY,
        deliveries: DeliveryQueue | None = None,
    ) -> None:
        self._host = host
        self._targets = Targets(host)
        self._retry_policy = retry_policy
        self._deliveries = deliveries or DeliveryQueue("events", N_WORKERS)
        self._held = threading.local()  # S3 events of the request in progress
        self._patches = MotoPatches()
        # moto delivers to few kinds of target and raises for the others.
        self._patches.replace(Rule, "send_to_targets", self._make_send_to_targets)
        # moto's S3 events lack ids and differ from S3's in sequencer, eTag and reason.
        self._patches.replace(notifications, "_send_event_bridge_message", lambda _: self._from_s3)

    def close(self) -> None:
        """Drop pending deliveries and undo the patches of moto."""
        self._deliveries.close()
        self._patches.undo()

    # -- from an event to deliveries --------------------------------------------------------------
    def publish(self, event: dict[str, Any], region: str) -> None:
        """Send an event to the targets of every enabled rule of the default bus that matches it."""
        buses = moto_state.backend("events", region).event_buses
        for rule in list(buses["default"].rules.values()):
            rule.send_to_targets({**event, "ingestion-time": time.time()})

    def emit(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str],
        region: str,
    ) -> None:
        """Send an event of an AWS service to the default bus."""
        self.publish(self._event(source, detail_type, detail, resources, region), region)

    @contextmanager
    def around_moto(self) -> Iterator[None]:
        """Hold this thread's S3 events until moto has answered; moto sends them before it sets metadata."""
        self._held.events = []
        try:
            yield
        finally:
            held, self._held.events = self._held.events, None
            for event in held or []:
                self.publish(event, event["region"])

    def _event(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str],
        region: str,
    ) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._host.account_id,
            "time": _iso(time.time()),
            "region": region,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def _make_send_to_targets(self, original: Callable[..., None]) -> Callable[..., None]:
        def send_to_targets(rule: Any, original_event: Any, transform_input: bool = True) -> None:
            if rule.managed_by:  # rule of an archive
                original(rule, original_event, transform_input)
            else:
                self._rule_to_targets(rule, original_event)

        return send_to_targets

    def _rule_to_targets(self, rule: Any, event: Mapping[str, Any]) -> None:
        """Deliver to a rule's targets; moto ignores the rule's state, and its schedules match every event."""
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern():
            return
        whole = {name: value for name, value in event.items() if name != "ingestion-time"}
        if not isinstance(whole["time"], str):
            whole["time"] = _iso(float(whole["time"]))
        if not rule.event_pattern.matches_event(whole):
            return
        for target in list(rule.targets):
            sent = TargetEvent(whole, rule.name, rule.arn, dict(target), rule.region_name)
            self._deliveries.submit(RuleDelivery(sent, self._targets, self._retry_policy))

    def _from_s3(self, account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
        """Called by moto for buckets with EventBridge notifications."""
        del account_id
        name = str(getattr(event_name, "value", event_name))
        described = _s3_detail(name, bucket, key)
        if described is None:
            return
        detail_type, detail = described
        detail["requester"] = self._host.account_id
        event = self._event("aws.s3", detail_type, detail, [bucket.arn], bucket.region_name)
        if getattr(self._held, "events", None) is not None:
            self._held.events.append(event)
        else:
            self.publish(event, bucket.region_name)


def _s3_detail(event_name: str, bucket: Any, key: Any) -> tuple[str, dict[str, Any]] | None:
    """(detail type, detail) as in S3's events (S3 user guide, "EventBridge event message structure").

    None for the Put event of a multipart upload, which moto sends in addition to the completion event, and
    for events of tags and ACLs, which moto sends on every put.
    """
    _, kind, how = event_name.split(":")
    stored: dict[str, Any] = {"key": key.name}
    detail: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": stored,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": "",
        "source-ip-address": "127.0.0.1",
    }
    if kind == "ObjectCreated":
        if how == "Put" and key.multipart is not None:
            return None
        stored |= {"size": key.size, "etag": key.etag.strip('"')}
        detail["reason"] = S3_REASONS.get(how, how)
        detail_type = "Object Created"
    elif kind == "ObjectRemoved":
        detail["reason"] = "DeleteObject"
        marker = how == "DeleteMarkerCreated"
        detail["deletion-type"] = "Delete Marker Created" if marker else "Permanently Deleted"
        detail_type = "Object Deleted"
    else:
        return None
    if bucket.is_versioned and getattr(key, "version_id", None):
        stored["version-id"] = key.version_id
    stored["sequencer"] = f"{time.time_ns():016X}"
    return detail_type, detail


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
