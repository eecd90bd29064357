"""The model registry and the models: moto's, with the rules that it leaves out, and their events."""

from __future__ import annotations

import threading
from typing import Any

from emulator.services.sagemaker.site import Site, epoch_s, invalid, iso, not_emulated, tag_map
from emulator.wire import Operation, Request, Response, ServiceError

APPROVALS = ("Approved", "Rejected", "PendingManualApproval")
# Fields of CreateModelPackage that moto forgets; DescribeModelPackage gives them back.
EXTRA_FIELDS = ("SkipModelValidation", "SourceUri", "ModelCard", "ModelLifeCycle", "SecurityConfig")
UNSERVED = (
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "ShadowProductionVariants",
)  # of an endpoint configuration
PACKAGE = "model-package"


class Registry:
    """Model package groups, packages and models of one region."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": self.describe_package,
            "UpdateModelPackage": self.update_package,
            "DeleteModelPackage": self.refuse,
            "CreateModel": self.create_model,
            "CreateEndpointConfig": self.create_endpoint_config,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    def refuse(self, request: Request) -> Response:
        """Operations that would have to pretend."""
        raise not_emulated(request.operation)

    # -- groups and packages --------------------------------------------------------------------
    def create_group(self, request: Request) -> Response:
        """A group; one that exists already is refused."""
        name = request.json["ModelPackageGroupName"]
        with self._lock:
            if name in self.site.backend.model_package_groups:
                raise invalid(
                    f"Model Package Group already exists: {self.site.arn('model-package-group', name)}"
                )
            return self.site.forward(request)

    def delete_group(self, request: Request) -> None:
        """Deletes a group that holds no package."""
        name = request.json["ModelPackageGroupName"].rpartition("/")[2]
        backend = self.site.backend
        with self._lock:
            backend.describe_model_package_group(name)
            if any(item.model_package_group_name == name for item in backend.model_packages.values()):
                raise ServiceError(
                    "ConflictException", f"Model Package Group {name} still has model packages"
                )
            del backend.model_package_groups[name]

    def create_package(self, request: Request) -> Response:
        """The next version of a group, or a package without one."""
        with self._lock:
            response = self.site.forward(request)
        if response.status == 200:
            package = self._newest(request.json)
            for field in EXTRA_FIELDS:
                setattr(package, f"extra_{field}", request.json.get(field))
            self._announce(package, [])
        return response

    def describe_package(self, request: Request) -> dict[str, Any]:
        """Everything about a package, moments as seconds."""
        package = self.site.backend.describe_model_package(request.json["ModelPackageName"])
        described = _describe(package)
        for key in ("CreationTime", "LastModifiedTime"):
            if key in described:
                described[key] = epoch_s(described[key])
        return described

    def update_package(self, request: Request) -> dict[str, Any]:
        """Changes what the request names, and nothing else; an approval is an event."""
        spec = request.json
        package = self.site.backend.describe_model_package(spec["ModelPackageArn"])
        status = spec.get("ModelApprovalStatus")
        if status is not None and status not in APPROVALS:
            raise invalid(f"Value '{status}' at 'modelApprovalStatus' is not one of {', '.join(APPROVALS)}")
        properties = {
            **(package.customer_metadata_properties or {}),
            **spec.get("CustomerMetadataProperties", {}),
        }
        for key in spec.get("CustomerMetadataPropertiesToRemove", []):
            properties.pop(key, None)
        package.customer_metadata_properties = properties or None
        package.model_approval_status = status or package.model_approval_status
        package.approval_description = spec.get("ApprovalDescription", package.approval_description)
        package.inference_specification = spec.get("InferenceSpecification", package.inference_specification)
        package.add_additional_inference_specifications(spec.get("AdditionalInferenceSpecificationsToAdd"))
        for field in EXTRA_FIELDS:
            if field in spec:
                setattr(package, f"extra_{field}", spec[field])
        package.modifications_done()
        self._announce(package, sorted(set(spec) - {"ModelPackageArn", "ClientToken"}))
        return {"ModelPackageArn": package.arn}

    def _newest(self, spec: dict[str, Any]) -> Any:
        packages = self.site.backend.model_packages.values()
        group = (spec.get("ModelPackageGroupName") or "").rpartition("/")[2]
        name = group or spec.get("ModelPackageName")
        return [package for package in packages if package.model_package_name == name][-1]

    def _announce(self, package: Any, updated: list[str]) -> None:
        detail = _describe(package)
        for key in ("CreationTime", "LastModifiedTime"):
            if key in detail:
                detail[key] = iso(detail[key])
        if updated:
            detail["UpdatedModelPackageFields"] = updated
        detail["Tags"] = tag_map(package.tags)
        self.site.emit("SageMaker Model Package State Change", detail, [package.arn])

    # -- models and endpoint configurations -----------------------------------------------------
    def create_model(self, request: Request) -> Response:
        """A model; one that exists already is refused."""
        name = request.json["ModelName"]
        with self._lock:
            if name in self.site.backend._models:
                raise invalid(f'Cannot create already existing model "{self.site.arn("model", name)}".')
            response = self.site.forward(request)
        if response.status == 200:
            isolation = bool(request.json.get("EnableNetworkIsolation"))
            self.site.backend._models[name].enable_network_isolation = isolation
        return response

    def create_endpoint_config(self, request: Request) -> Response:
        """An endpoint configuration; one that exists already is refused."""
        name = request.json["EndpointConfigName"]
        if unserved := [field for field in UNSERVED if request.json.get(field)]:
            raise not_emulated(f"an endpoint configuration with {', '.join(unserved)}")
        if (request.json.get("DataCaptureConfig") or {}).get("EnableCapture"):
            raise not_emulated("an endpoint configuration with DataCaptureConfig.EnableCapture")
        with self._lock:
            if name in self.site.backend.endpoint_configs:
                arn = self.site.arn("endpoint-config", name)
                raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
            return self.site.forward(request)

    # -- tags -----------------------------------------------------------------------------------
    def add_tags(self, request: Request) -> dict[str, Any]:
        """Sets tags; a key that exists gets the new value (moto would keep both)."""
        resource = self._tagged(request)
        merged = {**tag_map(resource.tags), **tag_map(request.json["Tags"])}
        resource.tags = [{"Key": key, "Value": value} for key, value in merged.items()]
        return {"Tags": resource.tags}

    def list_tags(self, request: Request) -> dict[str, Any]:
        """A resource's tags."""
        return {"Tags": self._tagged(request).tags or []}

    def delete_tags(self, request: Request) -> None:
        """Removes tags by key."""
        resource = self._tagged(request)
        resource.tags = [tag for tag in resource.tags or [] if tag["Key"] not in request.json["TagKeys"]]

    def _tagged(self, request: Request) -> Any:
        arn = request.json["ResourceArn"]
        backend = self.site.backend
        if f":{PACKAGE}/" in arn:  # moto knows no tags of a versioned package
            resource = backend.model_packages.get(arn)
        else:
            try:
                resource = backend._get_resource_from_arn(arn)
            except (AttributeError, ValueError):  # how moto says that it has no such kind of resource
                resource = None
        if resource is None:
            raise invalid(f"Could not find {arn}")
        return resource


def _describe(package: Any) -> dict[str, Any]:
    extras = {field: getattr(package, f"extra_{field}", None) for field in EXTRA_FIELDS}
    return {**package.gen_response_object(), **{key: value for key, value in extras.items() if value}}
