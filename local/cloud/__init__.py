"""The embedded cloud: moto's server, and a plane for each service that must run something."""

# First of all: it forgets the user's AWS settings before moto is imported.
from local.cloud.environment import ACCOUNT_ID
from local.cloud.plane import Plane, Request, Response, Route, ServiceError
from local.cloud.planes import all_planes
from local.cloud.server import Cloud

__all__ = ["ACCOUNT_ID", "Cloud", "Plane", "Request", "Response", "Route", "ServiceError", "all_planes"]
