"""Fleet of an endpoint: the servers of all variants of one endpoint configuration."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

from emulator.region import Region
from emulator.services.sagemaker.endpoints.variant import VariantServer, VariantSpec

STARTUP_TIMEOUT_S = 120.0  # SageMaker allows more


class EndpointFleet:
    """Servers of one endpoint configuration's variants."""

    def __init__(self, region: Region, endpoint: str, config_name: str, specs: Sequence[VariantSpec]) -> None:
        self.config_name = config_name
        self.variants = {spec.name: VariantServer(region, endpoint, config_name, spec) for spec in specs}

    def start(self) -> None:
        """Start all variants and wait until they are healthy.

        Raises:
            FleetStartError: a variant is not healthy in time.
        """
        for variant in self.variants.values():
            variant.start()
        for variant in self.variants.values():
            configured_s = variant.spec.config.get(
                "ContainerStartupHealthCheckTimeoutInSeconds", STARTUP_TIMEOUT_S
            )
            variant.wait_until_healthy(time.monotonic() + min(configured_s, STARTUP_TIMEOUT_S))

    def stop(self) -> None:
        """Stop all variants."""
        for variant in self.variants.values():
            variant.stop()

    def pick(self, weights: Mapping[str, float]) -> VariantServer:
        """Random variant, with probabilities in proportion to the weights."""
        names = list(self.variants)
        chances = [weights.get(name, 1.0) for name in names]
        name = random.choices(names, chances)[0] if sum(chances) > 0 else names[0]  # noqa: S311
        return self.variants[name]
