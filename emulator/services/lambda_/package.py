"""Folders of deployment packages, layers and the modules of AWS's runtime."""

from __future__ import annotations

import io
import shutil
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from emulator import moto_state
from emulator.host import Host
from emulator.wire import ServiceError

# Lambda developer guide, "Runtime-included SDK versions": the SDK and its dependencies.
RUNTIME_MODULES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
# Modules of layers that AWS publishes, taken from this environment.
PUBLIC_LAYERS = {
    "AWSLambdaPowertoolsPythonV3": ("aws_lambda_powertools", "typing_extensions", "jmespath"),
}


@dataclass(frozen=True)
class FunctionFolders:
    """Folders that a function has at /var/task, /opt and /var/runtime."""

    code: Path
    layers: Path
    runtime: Path


class Packages:
    """Unpacked packages: one folder per package or layer, shared by the sandboxes that use it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._folders: dict[str, Path] = {}

    def folders(self, function: Any) -> FunctionFolders:
        """Folders of a function: its code, its layers, the runtime's modules.

        Raises:
            ServiceError: the package is not a zip file, or a layer does not exist.
        """
        code = self._unpacked(f"code-{function.code_sha_256}", function.function_name, function.code_bytes)
        layers = self._layers(function, [layer["Arn"] for layer in function.layers])
        return FunctionFolders(code, layers, self._linked("runtime", RUNTIME_MODULES))

    def _layers(self, function: Any, arns: Sequence[str]) -> Path:
        """Content of /opt: the files of all layers; those of a later layer replace earlier ones."""
        key = "layers-" + ",".join(arns)
        with self._lock:
            if key in self._folders:
                return self._folders[key]
        folder = self._host.folder("lambda", "opt")
        for arn in arns:
            shutil.copytree(self._layer(function, arn), folder, symlinks=True, dirs_exist_ok=True)
        with self._lock:
            return self._folders.setdefault(key, folder)

    def _layer(self, function: Any, arn: str) -> Path:
        if arn.split(":")[4] != self._host.account_id:
            name = public_layer(arn)
            return self._linked(name, PUBLIC_LAYERS[name], "python")
        version = moto_state.backend("lambda", function.region).layers_versions_by_arn(arn)
        return self._unpacked(f"layer-{arn}", version.name, version.code_bytes)

    def _unpacked(self, key: str, name: str, content: bytes) -> Path:
        with self._lock:
            if key not in self._folders:
                folder = self._host.folder("lambda", name)
                try:
                    with zipfile.ZipFile(io.BytesIO(content)) as archive:
                        archive.extractall(folder)
                except zipfile.BadZipFile as error:
                    raise ServiceError(
                        "InvalidZipFileException", f"{name}: the package is not a zip file: {error}", 502
                    ) from error
                self._folders[key] = folder
            return self._folders[key]

    def _linked(self, name: str, modules: Sequence[str], below: str = "") -> Path:
        """Folder with links to these modules of this environment, in its subfolder ``below``."""
        with self._lock:
            if name not in self._folders:
                root = self._host.folder("lambda", name)
                folder = root / below
                folder.mkdir(exist_ok=True)
                for module in modules:
                    spec = find_spec(module)
                    if spec is None or spec.origin is None:
                        raise ServiceError(
                            "InternalFailure", f"{name}: {module} is not installed in this environment", 500
                        )
                    origin = Path(spec.origin)
                    source = origin.parent if origin.name == "__init__.py" else origin
                    (folder / source.name).symlink_to(source)
                self._folders[name] = root
            return self._folders[name]


def public_layer(arn: str) -> str:
    """Name in `PUBLIC_LAYERS` of a layer ARN of another account.

    Raises:
        ServiceError: the layer is unknown.
    """
    name = arn.split(":")[6]
    for known in PUBLIC_LAYERS:
        if name.startswith(known):
            return known
    raise ServiceError(
        "InvalidParameterValueException",
        f"the emulator has the public layers {', '.join(PUBLIC_LAYERS)} only, not {arn}",
    )
