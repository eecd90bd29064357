"""Delivery of one event to one target of a rule, with the rule's retry policy and dead-letter queue."""

from __future__ import annotations

import json
import logging

from emulator.delivery import Delivery, DeliveryError, Failure, RetryPolicy
from emulator.services.events.input import render_input
from emulator.services.events.targets import TargetEvent, Targets

MAX_ERROR_MESSAGE = 1024
EXHAUSTED = {"attempts": "MaximumRetryAttempts", "age": "MaximumEventAgeInSeconds"}
log = logging.getLogger("emulator.services.events.delivery")


class RuleDelivery(Delivery):
    """Delivery of one event to one target: renders the input and sends it.

    Attributes:
        event: the event with its rule and target.
    """

    def __init__(self, event: TargetEvent, targets: Targets, policy: RetryPolicy) -> None:
        self.event = event
        self._targets = targets
        self.label = f"{event.rule_name} -> {event.arn}"
        self.policy = policy.limited(event.target.get("RetryPolicy", {}))
        self.dead_letter_arn = event.target.get("DeadLetterConfig", {}).get("Arn", "")

    def attempt(self, number: int) -> None:
        """Send the event.

        Raises:
            DeliveryError: the target did not accept the event, or its input cannot be rendered.
        """
        del number
        rule = {"arn": self.event.rule_arn, "name": self.event.rule_name}
        try:
            payload = render_input(self.event.target, self.event.event, rule)
            self._targets.send(self.event, payload)
        except DeliveryError:
            raise
        except Exception as error:
            raise DeliveryError("SDK_CLIENT_ERROR", repr(error)) from error
        log.info("%s: delivered", self.label)

    def send_dead_letter(self, failure: Failure) -> None:
        """Send the event with EventBridge's error attributes (user guide, "Using dead-letter queues")."""
        attributes = {
            "RULE_ARN": self.event.rule_arn,
            "TARGET_ARN": self.event.arn,
            "ERROR_CODE": failure.error.code,
            "ERROR_MESSAGE": str(failure.error)[:MAX_ERROR_MESSAGE],
            "RETRY_ATTEMPTS": str(failure.n_retries),
        }
        if failure.exhausted:
            attributes["EXHAUSTED_RETRY_CONDITION"] = EXHAUSTED[failure.exhausted]
        body = json.dumps(self.event.event)
        self._targets.send_to_queue(self.event, self.dead_letter_arn, body, attributes=attributes)
