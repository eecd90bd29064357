"""EventBridge: rules that deliver, with retries and dead-letter queues, and S3's events.

moto keeps buses, rules and targets and matches patterns. It knows few targets, raises on the others, swallows
what goes wrong for S3 events, and sends each completed upload twice; so what leaves a rule leaves it here.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import EventPattern, Rule
from moto.s3 import notifications

from emulator.moto_patches import MotoPatches
from emulator.provider import Provider
from emulator.services.events.input import render_input
from emulator.services.events.targets import (
    Delivery,
    RetryableError,
    Targets,
    UndeliverableError,
    send_to_queue,
)
from emulator.wire import Operation, Request, Response, ServiceError

if TYPE_CHECKING:
    from emulator.app import Emulator

MAX_ATTEMPTS = 185  # EventBridge's defaults: 185 retries within 24 hours
MAX_AGE_S = 86_400
FIRST_RETRY_S = 0.5  # the service waits longer; the policy's counts and ages are kept
LONGEST_RETRY_S = 30.0
WORKERS = 16
S3_REASONS = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}
log = logging.getLogger("emulator.services.events.provider")


class EventsProvider(Provider):
    """The default bus and its like: from an event to its targets."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._targets = Targets(emulator, self.publish)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="events")
        self._closed = threading.Event()
        self._held = threading.local()  # events of the request that moto answers right now
        self._patches = MotoPatches()
        # The one place where a matched event leaves a rule; moto raises for targets that it does not know.
        self._patches.replace(Rule, "send_to_targets", self._make_send_to_targets)
        # moto's S3 events have no ids, a made-up sequencer, "eTag", and reasons that the service doesn't use.
        self._patches.replace(notifications, "_send_event_bridge_message", lambda _: self._from_s3)

    def operations(self) -> dict[str, Operation]:
        """moto has no TestEventPattern."""
        return {"AWSEvents.TestEventPattern": self._test_event_pattern}

    def close(self) -> None:
        """Gives up what waits for a retry."""
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._patches.undo()

    # -- from an event to deliveries --------------------------------------------------------------
    def publish(self, event: dict[str, Any], region: str, bus: str = "default") -> None:
        """Sends a whole event to every enabled rule of a bus that matches it."""
        buses = self.emulator.backend("events", region).event_buses
        for rule in list(buses[bus].rules.values()):
            rule.send_to_targets({**event, "ingestion-time": time.time()})

    def emit(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: list[str], region: str
    ) -> None:
        """An event of an AWS service on the default bus."""
        self.publish(self._event(source, detail_type, detail, resources, region), region)

    def before_moto(self) -> None:
        """Holds this thread's S3 events: moto sends them before the object's metadata is there."""
        self._held.events = []

    def after_moto(self) -> None:
        """Sends what was held."""
        held, self._held.events = getattr(self._held, "events", None), None
        for event in held or []:
            self.publish(event, event["region"])

    def _event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: list[str], region: str
    ) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self.emulator.account_id,
            "time": _iso(time.time()),
            "region": region,
            "resources": resources,
            "detail": dict(detail),
        }

    def _make_send_to_targets(self, original: Callable[..., None]) -> Callable[..., None]:
        def send_to_targets(rule: Any, original_event: Any, transform_input: bool = True) -> None:
            if rule.managed_by:  # an archive's
                original(rule, original_event, transform_input)
            else:
                self._rule_to_targets(rule, original_event)

        return send_to_targets

    def _rule_to_targets(self, rule: Any, event: Mapping[str, Any]) -> None:
        """moto itself forgets the rule's state, and lets a schedule match every event."""
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern():
            return
        whole = {name: value for name, value in event.items() if name != "ingestion-time"}
        if not isinstance(whole["time"], str):
            whole["time"] = _iso(float(whole["time"]))
        if not rule.event_pattern.matches_event(whole):
            return
        for target in list(rule.targets):
            delivery = Delivery(whole, rule.name, rule.arn, dict(target), rule.region_name)
            self._submit(delivery, attempt=1, started=time.monotonic())

    def _from_s3(self, account_id: str, bucket: Any, event_name: Any, key: Any) -> None:
        """moto's hook for buckets with EventBridge on."""
        del account_id
        name = str(getattr(event_name, "value", event_name))
        described = _s3_detail(name, bucket, key)
        if described is None:
            return
        detail_type, detail = described
        detail["requester"] = self.emulator.account_id
        event = self._event("aws.s3", detail_type, detail, [bucket.arn], bucket.region_name)
        if getattr(self._held, "events", None) is not None:
            self._held.events.append(event)
        else:
            self.publish(event, bucket.region_name)

    # -- deliveries -------------------------------------------------------------------------------
    def _submit(self, delivery: Delivery, *, attempt: int, started: float) -> None:
        if not self._closed.is_set():
            self._pool.submit(self._deliver, delivery, attempt, started)

    def _deliver(self, delivery: Delivery, attempt: int, started: float) -> None:
        rule = {"arn": delivery.rule_arn, "name": delivery.rule_name}
        try:
            payload = render_input(delivery.target, delivery.event, rule)
            self._targets.send(delivery, payload)
            log.info("%s -> %s: delivered", delivery.rule_name, delivery.arn)
        except RetryableError as error:
            self._retry(delivery, attempt, started, error)
        except UndeliverableError as error:
            self._dead_letter(delivery, attempt, error.code, str(error), exhausted="")
        except Exception as error:  # a template that can't be filled must not vanish with its thread
            self._dead_letter(delivery, attempt, "SDK_CLIENT_ERROR", repr(error), exhausted="")

    def _retry(self, delivery: Delivery, attempt: int, started: float, error: RetryableError) -> None:
        policy = delivery.target.get("RetryPolicy", {})
        most, oldest = (
            policy.get("MaximumRetryAttempts", MAX_ATTEMPTS),
            policy.get("MaximumEventAgeInSeconds", MAX_AGE_S),
        )
        wait_s = min(FIRST_RETRY_S * 2 ** (attempt - 1), LONGEST_RETRY_S)
        if attempt > most:
            self._dead_letter(delivery, attempt, error.code, str(error), exhausted="MaximumRetryAttempts")
        elif time.monotonic() - started + wait_s > oldest:
            self._dead_letter(delivery, attempt, error.code, str(error), exhausted="MaximumEventAgeInSeconds")
        else:
            timer = threading.Timer(
                wait_s, self._submit, args=(delivery,), kwargs={"attempt": attempt + 1, "started": started}
            )
            timer.daemon = True
            timer.start()

    def _dead_letter(
        self, delivery: Delivery, attempt: int, code: str, message: str, *, exhausted: str
    ) -> None:
        log.warning("%s -> %s: %s: %s", delivery.rule_name, delivery.arn, code, message)
        queue = delivery.target.get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            log.error("%s -> %s: no dead-letter queue; the event is lost", delivery.rule_name, delivery.arn)
            return
        attributes = {
            "RULE_ARN": delivery.rule_arn,
            "TARGET_ARN": delivery.arn,
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message[:1024],
            "RETRY_ATTEMPTS": str(attempt - 1),
        }
        if exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        try:
            send_to_queue(self.emulator, delivery, queue, json.dumps(delivery.event), attributes=attributes)
        except Exception as error:  # whatever the queue's fault, it must be seen
            log.error("%s -> dead-letter queue %s: %s; the event is lost", delivery.rule_name, queue, error)

    # -- operations -------------------------------------------------------------------------------
    def _test_event_pattern(self, request: Request) -> dict[str, Any] | Response:
        try:
            pattern = EventPattern.load(request.json["EventPattern"])
            event = json.loads(request.json["Event"])
        except Exception as error:
            raise ServiceError(
                "InvalidEventPatternException", f"Event pattern is not valid: {error}"
            ) from error
        return {"Result": pattern.matches_event(event)}


def _s3_detail(event_name: str, bucket: Any, key: Any) -> tuple[str, dict[str, Any]] | None:
    """(detail type, detail) as S3 sends them (S3 user guide, "EventBridge event message structure").

    None for a part of an upload that moto reports a second time when it completes, and for tags and ACLs,
    which moto reports on every put.
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
