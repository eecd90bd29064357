"""moto's state, which is global to the process: reset, patches, backends, and calls to moto's server."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.test import run_wsgi_app

from emulator.environment import ACCOUNT_ID
from emulator.moto_patches import MotoPatches
from emulator.wire import Request, Response


def reset() -> None:
    """Delete every resource. moto's own reset would build each backend again first."""
    for service in list(BackendDict._instances):
        service.clear()
    BackendDict._instances.clear()
    s3_backends.bucket_accounts.clear()  # not part of a backend
    reset_model_data()


def patch(patches: MotoPatches) -> None:
    """Apply the changes to moto that belong to no single service."""
    # moto would allow requests of web pages from any origin; the emulator serves local programs only.
    patches.replace(werkzeug_app, "DISABLE_GLOBAL_CORS", lambda _: True)
    # moto parses AWS's managed policies once per partition, which is slow; the emulator has one partition.
    patches.replace(IAMBackend, "_init_aws_policies", lambda _: _managed_policies)


def backend(service: str, region: str) -> Any:
    """moto's model of a service (``moto.backends`` names: lambda, codebuild, s3, …) in a region.

    Raises:
        LookupError: moto does not have the service in that region.
    """
    regional = get_backend(service)[ACCOUNT_ID]
    for name in (region, "aws", "global"):
        if name in regional:
            return regional[name]
    raise LookupError(f"moto has no {service} in {region}")


def regional_backends(service: str) -> dict[str, Any]:
    """moto's models of a service by region: only regions that have been used."""
    return dict(get_backend(service)[ACCOUNT_ID])


def find_bucket(name: str) -> Any:
    """moto's S3 bucket; None if it does not exist."""
    return backend("s3", "aws").buckets.get(name)


def make_forward() -> Callable[[Request], Response]:
    """Return a function that answers a request with moto's server, in this process."""
    application = DomainDispatcherApplication(create_backend_app)
    # Without a cache, moto lists the folders of its package on each request: a third of the request's time.
    application.get_backend_for_host = functools.cache(application.get_backend_for_host)

    def forward(request: Request) -> Response:
        request.environ["wsgi.input"].seek(0)
        chunks, status, headers = run_wsgi_app(application, request.environ, buffered=True)
        return Response(int(status.split()[0]), b"".join(chunks), list(headers.items()))

    return forward


def is_page_not_found(response: Response) -> bool:
    """Whether moto has no handler of a REST operation: it answers with a page of HTML."""
    return response.status == 404 and response.encoded()[1].get("Content-Type", "").startswith("text/html")


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
