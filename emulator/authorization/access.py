"""Decisions about calls of roles: requests with their credentials, and calls that services make with them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emulator import moto_state
from emulator.authorization import policies, roles, service_needs
from emulator.authorization.ledger import Ledger, Use
from emulator.authorization.needs import Need
from emulator.authorization.operations import CalledOperation
from emulator.authorization.policies import Call, Decision
from emulator.authorization.resource_policies import key_tags, resource_policy
from emulator.authorization.resources import Place
from emulator.authorization.s3_needs import bucket_arn, stored_object
from emulator.operations import ApiCall
from emulator.wire import Request, ServiceError

TEMPORARY_KEY = "ASIA"  # prefix of temporary access keys (IAM user guide, "IAM identifiers")
IDENTITY = "identity-based"
log = logging.getLogger("emulator.authorization")


@dataclass(frozen=True)
class Caller:
    """Caller: a role and its session."""

    role_arn: str
    session_arn: str

    @property
    def account_id(self) -> str:
        """Account of the role."""
        return self.role_arn.split(":")[4]


class AccessDeniedError(Exception):
    """A call of a role is not allowed; the message names the caller, the action and the resource."""


class Access:
    """Authorisation in one emulator.

    Attributes:
        ledger: uses and refusals since the start.
    """

    def __init__(self, account_id: str) -> None:
        self.ledger = Ledger()
        self._account_id = account_id
        self._lock = threading.Lock()
        self._sessions: dict[str, Caller] = {}

    def check_request(self, request: Request, call: ApiCall) -> None:
        """Authorise a request that is signed with a role's credentials; other callers are administrators.

        Raises:
            ServiceError: the service's AccessDenied.
        """
        caller = self._caller(request)
        if caller is None:
            return
        place = Place(request.region, self._account_id)
        operation = CalledOperation.of(call, request)
        try:
            for need in service_needs.needs(operation, place):
                self._require(caller, need, place)
            if operation.prefix == "s3" and operation.name in ("GetObject", "HeadObject"):
                self._require_visibility(caller, operation.parameters, place)
        except AccessDeniedError as error:
            raise denied(request, str(error)) from error

    def require(self, role_arn: str, need: Need, region: str, session: str = "service") -> None:
        """Authorise a call that a service makes with a role.

        Raises:
            AccessDeniedError: the role's policies do not allow it.
        """
        self._require(_session_of(role_arn, session), need, Place(region, self._account_id))

    def permits(self, role_arn: str, needs: Iterable[Need], region: str, session: str = "service") -> bool:
        """Whether a role allows all calls, which the service leaves out otherwise; refusals are recorded."""
        permitted = True
        for need in needs:
            try:
                self.require(role_arn, need, region, session)
            except AccessDeniedError:
                permitted = False
        return permitted

    # -- caller -----------------------------------------------------------------------------------
    def _caller(self, request: Request) -> Caller | None:
        key = request.access_key_id
        if not key.startswith(TEMPORARY_KEY):
            return None
        with self._lock:
            if key not in self._sessions:
                self._learn_sessions(request.region)
            return self._sessions.get(key)

    def _learn_sessions(self, region: str) -> None:
        for assumed in moto_state.backend("sts", region).assumed_roles:
            self._sessions.setdefault(assumed.access_key_id, Caller(assumed.role_arn, assumed.arn))

    # -- decision -----------------------------------------------------------------------------------
    def _require(self, caller: Caller, need: Need, place: Place) -> None:
        context = {**_global_context(caller, place), **key_tags(need.resource, place), **need.context}
        call = Call(
            need.action, need.resource, context=context, principals=(caller.role_arn, caller.session_arn)
        )
        decision, kind = self._decide(caller, call, place)
        use = Use.of(caller.role_arn, need.action, need.resource, need.context)
        if decision == "allowed":
            if kind == IDENTITY:
                self.ledger.allow(use)
            return
        reason = (
            f"with an explicit deny in a {kind} policy"
            if decision == "explicitDeny"
            else f"because no {kind} policy allows the {need.action} action"
        )
        message = (
            f"User: {caller.session_arn} is not authorized to perform: {need.action} "
            f"on resource: {need.resource} {reason}"
        )
        log.error("%s", message)
        self.ledger.refuse(use, message)
        raise AccessDeniedError(message)

    def _decide(self, caller: Caller, call: Call, place: Place) -> tuple[Decision, str]:
        """Decision, and the kind of policy that it is a consequence of."""
        iam = moto_state.backend("iam", place.region)
        try:
            identity = roles.identity_documents(iam, caller.role_arn)
            boundary = roles.boundary_documents(iam, caller.role_arn)
        except ServiceError:  # the role was deleted
            return "implicitDeny", IDENTITY
        resource = resource_policy(call.resource)
        decisions = {
            IDENTITY: policies.decide(identity, call),
            "resource-based": policies.decide([resource], call),
            "permissions boundary": "allowed" if boundary is None else policies.decide(boundary, call),
        }
        denying = [kind for kind, decision in decisions.items() if decision == "explicitDeny"]
        if denying:
            return "explicitDeny", denying[0]
        if decisions["permissions boundary"] != "allowed":
            return "implicitDeny", "permissions boundary"
        if decisions["resource-based"] == "allowed":
            return "allowed", "resource-based"
        if _needs_delegation(call) and not policies.delegates([resource], call):
            return "implicitDeny", "resource-based"
        return decisions[IDENTITY], IDENTITY

    def _require_visibility(self, caller: Caller, parameters: Any, place: Place) -> None:
        """S3 answers 403 instead of 404 to callers without s3:ListBucket (S3 API, GetObject)."""
        bucket, key = str(parameters["Bucket"]), str(parameters["Key"])
        if stored_object(bucket, key, parameters.get("VersionId")) is None:
            self._require(caller, Need("s3:ListBucket", bucket_arn(place, bucket)), place)


def _needs_delegation(call: Call) -> bool:
    """Whether the policy of the resource must let the account's policies decide: keys, trust policies.

    New keys and aliases have no policy.
    """
    is_key = ":key/" in call.resource and not call.resource.endswith(":key/*")
    return (call.action.startswith("kms:") and is_key) or call.action == "sts:AssumeRole"


def denied(request: Request, message: str) -> ServiceError:
    """AccessDenied as the service of a request writes it."""
    is_json = bool(request.headers.get("X-Amz-Target"))
    is_query = bool(request.operation) and not is_json
    if request.service in ("s3", "sqs", "monitoring") or is_query:
        return ServiceError("AccessDenied", message, 403)
    return ServiceError("AccessDeniedException", message, 400 if is_json else 403)


def _session_of(role_arn: str, session: str) -> Caller:
    _, partition, _, _, account, resource = role_arn.split(":", 5)
    name = resource.rpartition("/")[2]
    return Caller(role_arn, f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}")


def _global_context(caller: Caller, place: Place) -> dict[str, str]:
    """Global condition keys (IAM user guide, "AWS global condition context keys").

    The emulator speaks HTTP for HTTPS: clients differ by the endpoint only.
    """
    return {
        "aws:PrincipalAccount": caller.account_id,
        "aws:PrincipalArn": caller.role_arn,
        "aws:PrincipalIsAWSService": "false",
        "aws:PrincipalType": "AssumedRole",
        "aws:RequestedRegion": place.region,
        "aws:ResourceAccount": place.account_id,
        "s3:ResourceAccount": place.account_id,
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "false",
    }
