"""Operation of a request as IAM sees it: prefix of the actions, name and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.operations import ApiCall
from emulator.validation.decoding import decode
from emulator.wire import Request

# Prefixes of IAM actions that differ from the signing name (service authorization reference).
ACTION_PREFIXES: Mapping[str, str] = {"monitoring": "cloudwatch"}


@dataclass(frozen=True)
class CalledOperation:
    """One API operation and its parameters.

    Attributes:
        prefix: prefix of the service's IAM actions (``elasticmapreduce``).
        name: name of the operation, ``RunJobFlow``.
        parameters: members of the operation's input.
        method, path: of the HTTP request; the path is percent-encoded.
    """

    prefix: str
    name: str
    parameters: Mapping[str, Any]
    method: str = ""
    path: str = ""

    @classmethod
    def of(cls, call: ApiCall, request: Request) -> CalledOperation:
        """Operation of a request.

        Raises:
            ServiceError: the body is not well-formed.
        """
        signing_name = str(call.model.service_model.signing_name)
        prefix = ACTION_PREFIXES.get(signing_name, signing_name)
        return cls(prefix, call.name, decode(call, request), request.method, request.raw_path)
