"""The embedded cloud: moto's server, and a plane for each service that must run something."""

from local.cloud.plane import Plane, Request, Response, Route, ServiceError
from local.cloud.planes import all_planes
from local.cloud.server import Cloud

__all__ = ["Cloud", "Plane", "Request", "Response", "Route", "ServiceError", "all_planes"]
