"""Traffic of an endpoint: selects the fleet and the variant for each invocation."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator.services.sagemaker.endpoints.fleet import EndpointFleet
from emulator.services.sagemaker.endpoints.variant import VariantServer


class RunningEndpoint:
    """The blue and the green fleet of one endpoint, and the share of traffic that each receives.

    Attributes:
        record: moto's endpoint.
    """

    def __init__(self, record: Any) -> None:
        self.record = record
        self._lock = threading.Lock()
        self._blue: EndpointFleet | None = None  # in service
        self._green: EndpointFleet | None = None  # being deployed
        self._green_share = 0.0

    def add_green(self, fleet: EndpointFleet) -> None:
        """Add the new fleet of a deployment, without traffic."""
        with self._lock:
            self._green, self._green_share = fleet, 0.0

    def set_green_share(self, share: float) -> None:
        """Set the share of traffic of the green fleet, from 0 to 1."""
        with self._lock:
            self._green_share = share

    def remove_green(self) -> None:
        """Send all traffic to the blue fleet, and remove the green one."""
        with self._lock:
            self._green, self._green_share = None, 0.0

    def promote_green(self) -> EndpointFleet | None:
        """Make the green fleet the blue one; returns the old blue fleet, which gets no more traffic."""
        with self._lock:
            old, self._blue = self._blue, self._green
            self._green, self._green_share = None, 0.0
            return old

    def remove_blue(self) -> EndpointFleet | None:
        """Take the blue fleet out of service, and return it."""
        with self._lock:
            blue, self._blue = self._blue, None
            return blue

    @contextmanager
    def serving(self, target: str | None) -> Iterator[VariantServer | None]:
        """Variant for one invocation, not stopped during it; None when none is in service.

        Args:
            target: name of the variant; None picks one by weight.
        """
        with self._lock:
            variant = self._pick(target)
            if variant is not None:
                variant.in_flight += 1
        try:
            yield variant
        finally:
            if variant is not None:
                with self._lock:
                    variant.in_flight -= 1

    def _pick(self, target: str | None) -> VariantServer | None:
        to_green = self._green is not None and random.random() < self._green_share  # noqa: S311
        fleet = self._green if to_green else self._blue
        if fleet is None or target is not None:
            return fleet.variants.get(target) if fleet and target else None
        variants = self.record.production_variants or []
        return fleet.pick({item["VariantName"]: float(item.get("CurrentWeight", 1.0)) for item in variants})
