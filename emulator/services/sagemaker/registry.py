"""Model registry, models and endpoint configurations: moto's, with SageMaker's checks and events."""

from __future__ import annotations

import threading
from typing import Any

from emulator.provider import Forward
from emulator.region import Region
from emulator.services.sagemaker.errors import invalid, not_emulated
from emulator.services.sagemaker.events import EventPublisher, tag_map
from emulator.services.sagemaker.execution_role import check_role
from emulator.services.sagemaker.times import epoch_s, iso
from emulator.wire import Operation, Request, Response, ServiceError

# Fields of CreateModelPackage that DescribeModelPackage returns and moto does not store.
EXTRA_FIELDS = ("SkipModelValidation", "SourceUri", "ModelCard", "ModelLifeCycle", "SecurityConfig")
# Fields of an endpoint configuration that are refused.
NOT_EMULATED = ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants")
PACKAGE = "model-package"


class Registry:
    """Model package groups, model packages, models and endpoint configurations of one region."""

    def __init__(self, region: Region, forward: Forward, events: EventPublisher) -> None:
        self.region = region
        self._forward = forward
        self._events = events
        self._lock = threading.Lock()
        self._deleted: dict[str, list[Any]] = {}  # deleted packages by group: versions are not used again

    def operations(self) -> dict[str, Operation]:
        """Handlers by operation name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create_package,
            "DescribeModelPackage": self.describe_package,
            "UpdateModelPackage": self.update_package,
            "DeleteModelPackage": self.delete_package,
            "CreateModel": self.create_model,
            "CreateEndpointConfig": self.create_endpoint_config,
            "AddTags": self.add_tags,
            "ListTags": self.list_tags,
            "DeleteTags": self.delete_tags,
        }

    @property
    def _backend(self) -> Any:
        """moto's SageMaker."""
        return self.region.backend("sagemaker")

    # -- groups and packages --------------------------------------------------------------------
    def create_group(self, request: Request) -> Response:
        """CreateModelPackageGroup; an existing name is refused."""
        name = request.json["ModelPackageGroupName"]
        with self._lock:
            if name in self._backend.model_package_groups:
                arn = self.region.arn("sagemaker", f"model-package-group/{name}")
                raise invalid(f"Model Package Group already exists: {arn}")
            return self._forward(request)

    def delete_group(self, request: Request) -> None:
        """DeleteModelPackageGroup; a group with packages is refused."""
        name = request.json["ModelPackageGroupName"].rpartition("/")[2]
        backend = self._backend
        with self._lock:
            backend.describe_model_package_group(name)
            if any(item.model_package_group_name == name for item in backend.model_packages.values()):
                raise ServiceError(
                    "ConflictException", f"Model Package Group {name} still has model packages"
                )
            del backend.model_package_groups[name]
            self._deleted.pop(name, None)

    def create_package(self, request: Request) -> Response:
        """CreateModelPackage: the next version of a group, or a package without a group."""
        packages = self._backend.model_packages
        group = (request.json.get("ModelPackageGroupName") or "").rpartition("/")[2]
        with self._lock:
            # moto takes the number of packages plus one as version.
            deleted = {f"deleted:{package.arn}": package for package in self._deleted.get(group, ())}
            packages.update(deleted)
            try:
                response = self._forward(request)
            finally:
                for key in deleted:
                    del packages[key]
        if response.status == 200:
            package = self._newest(request.json)
            for field in EXTRA_FIELDS:
                setattr(package, f"extra_{field}", request.json.get(field))
            self._publish_state(package, [])
        return response

    def describe_package(self, request: Request) -> dict[str, Any]:
        """DescribeModelPackage."""
        package = self._backend.describe_model_package(request.json["ModelPackageName"])
        described = _describe(package)
        for key in ("CreationTime", "LastModifiedTime"):
            if key in described:
                described[key] = epoch_s(described[key])
        return described

    def update_package(self, request: Request) -> dict[str, Any]:
        """UpdateModelPackage: changes the fields of the request only, and publishes an event."""
        spec = request.json
        package = self._backend.describe_model_package(spec["ModelPackageArn"])
        status = spec.get("ModelApprovalStatus")
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
        self._publish_state(package, sorted(set(spec) - {"ModelPackageArn", "ClientToken"}))
        return {"ModelPackageArn": package.arn}

    def delete_package(self, request: Request) -> None:
        """DeleteModelPackage, by the package's ARN or, without a group, its name."""
        backend = self._backend
        with self._lock:
            package = backend.describe_model_package(request.json["ModelPackageName"])
            del backend.model_packages[package.arn]
            self._deleted.setdefault(package.model_package_group_name, []).append(package)
            mapping = backend.model_package_name_mapping
            for name in [name for name, arn in mapping.items() if arn == package.arn]:
                del mapping[name]

    def _newest(self, spec: dict[str, Any]) -> Any:
        packages = self._backend.model_packages.values()
        group = (spec.get("ModelPackageGroupName") or "").rpartition("/")[2]
        name = group or spec.get("ModelPackageName")
        return [package for package in packages if package.model_package_name == name][-1]

    def _publish_state(self, package: Any, updated: list[str]) -> None:
        detail = _describe(package)
        for key in ("CreationTime", "LastModifiedTime"):
            if key in detail:
                detail[key] = iso(detail[key])
        if updated:
            detail["UpdatedModelPackageFields"] = updated
        detail["Tags"] = tag_map(package.tags)
        self._events.publish("SageMaker Model Package State Change", detail, [package.arn])

    # -- models and endpoint configurations -----------------------------------------------------
    def create_model(self, request: Request) -> Response:
        """CreateModel; an existing name is refused."""
        name = request.json["ModelName"]
        with self._lock:
            if name in self._backend._models:
                arn = self.region.arn("sagemaker", f"model/{name}")
                raise invalid(f'Cannot create already existing model "{arn}".')
            if role := request.json.get("ExecutionRoleArn"):
                check_role(self.region, role, self.region.arn("sagemaker", f"model/{name}"))
            response = self._forward(request)
        if response.status == 200:
            isolation = bool(request.json.get("EnableNetworkIsolation"))
            self._backend._models[name].enable_network_isolation = isolation
        return response

    def create_endpoint_config(self, request: Request) -> Response:
        """CreateEndpointConfig; an existing name is refused."""
        name = request.json["EndpointConfigName"]
        if refused := [field for field in NOT_EMULATED if request.json.get(field)]:
            raise not_emulated(f"an endpoint configuration with {', '.join(refused)}")
        if (request.json.get("DataCaptureConfig") or {}).get("EnableCapture"):
            raise not_emulated("an endpoint configuration with DataCaptureConfig.EnableCapture")
        with self._lock:
            if name in self._backend.endpoint_configs:
                arn = self.region.arn("sagemaker", f"endpoint-config/{name}")
                raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
            return self._forward(request)

    # -- tags -----------------------------------------------------------------------------------
    def add_tags(self, request: Request) -> dict[str, Any]:
        """AddTags: replaces the value of an existing key; moto would store both values."""
        resource = self._find_tagged(request)
        merged = {**tag_map(resource.tags), **tag_map(request.json["Tags"])}
        resource.tags = [{"Key": key, "Value": value} for key, value in merged.items()]
        return {"Tags": resource.tags}

    def list_tags(self, request: Request) -> dict[str, Any]:
        """ListTags."""
        return {"Tags": self._find_tagged(request).tags or []}

    def delete_tags(self, request: Request) -> None:
        """DeleteTags."""
        resource = self._find_tagged(request)
        resource.tags = [tag for tag in resource.tags or [] if tag["Key"] not in request.json["TagKeys"]]

    def _find_tagged(self, request: Request) -> Any:
        arn = request.json["ResourceArn"]
        backend = self._backend
        if f":{PACKAGE}/" in arn:  # moto does not find versioned packages by ARN
            resource = backend.model_packages.get(arn)
        else:
            try:
                resource = backend._get_resource_from_arn(arn)
            except (AttributeError, ValueError):  # moto's errors for unknown resource types
                resource = None
        if resource is None:
            raise invalid(f"Could not find {arn}")
        return resource


def _describe(package: Any) -> dict[str, Any]:
    extras = {field: getattr(package, f"extra_{field}", None) for field in EXTRA_FIELDS}
    return {**package.gen_response_object(), **{key: value for key, value in extras.items() if value}}
