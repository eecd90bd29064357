"""CloudWatch metrics of invocations: one value per invocation, for the variant and for the configuration.

SageMaker developer guide, "SageMaker AI endpoint invocation metrics"; the dimension `EndpointConfigName` is
described in "Auto-rollback configuration and monitoring" of the deployment guardrails.
"""

from __future__ import annotations

from emulator.region import Region
from emulator.services.sagemaker.endpoints.variant import VariantServer

NAMESPACE = "AWS/SageMaker"
MICROSECONDS = 1e6


def record(region: Region, variant: VariantServer, status: int, seconds: float) -> None:
    """Record one invocation.

    Args:
        status: HTTP status of the container; 0 without a valid response: that is an error of the model, but
            neither a 4xx nor a 5xx.
        seconds: until the response of the container.
    """
    values = {
        "Invocations": 1.0,
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status >= 500),
        "InvocationModelErrors": float(not 200 <= status < 300),
        "ModelLatency": seconds * MICROSECONDS,
    }
    for dimensions in variant.dimensions:
        region.metric(NAMESPACE, dimensions, **values)
