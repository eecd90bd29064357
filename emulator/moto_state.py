"""moto's own state, which belongs to the process: emptied, and filled no more than is needed."""

from __future__ import annotations

import functools
import json
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.moto_server import werkzeug_app

from emulator.moto_patches import MotoPatches


def reset() -> None:
    """Forgets every resource. moto's own reset builds each backend anew only to drop it."""
    for service in list(BackendDict._instances):
        service.clear()
    BackendDict._instances.clear()
    reset_model_data()


def patch(patches: MotoPatches) -> None:
    """Changes that belong to no single service."""
    # AWS's managed policies, which roles attach by ARN; moto reads all of them for each of its partitions.
    # moto answers web pages of any origin; these answers are for programs of this machine.
    patches.replace(werkzeug_app, "DISABLE_GLOBAL_CORS", lambda _: True)
    patches.replace(IAMBackend, "_init_aws_policies", lambda _: _managed_policies)


@functools.cache
def _parsed_policies() -> dict[str, Any]:
    return dict(json.loads(aws_managed_policies_data))


def _managed_policies(backend: IAMBackend) -> list[AWSManagedPolicy]:
    if backend.partition != "aws":
        return []
    account, region = backend.account_id, backend.region_name
    return [
        AWSManagedPolicy.from_data(name, account, region, data) for name, data in _parsed_policies().items()
    ]
