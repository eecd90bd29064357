"""Default quotas of IAM (IAM user guide, "IAM and AWS STS quotas")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from emulator import moto_state
from emulator.validation.constraints import Violation
from emulator.wire import ServiceError

MAX_TRUST_POLICY = 2_048  # role trust policy
MAX_MANAGED_POLICY = 6_144  # customer managed policy
MAX_INLINE_POLICIES: Mapping[str, int] = {
    "Role": 10_240,
    "Group": 5_120,
    "User": 2_048,
}  # all of one identity
MAX_ATTACHED_POLICIES = 10  # managed policies of one identity
MAX_POLICY_VERSIONS = 5

Parameters = Mapping[str, Any]
Check = Callable[[Parameters, str], Iterator[Violation]]


def _size(document: str | None) -> int:
    """Characters without white space, which IAM does not count."""
    return len(re.sub(r"\s", "", document or ""))


def _trust(parameters: Parameters, _region: str) -> Iterator[Violation]:
    document = parameters.get("AssumeRolePolicyDocument") or parameters.get("PolicyDocument")
    if _size(document) > MAX_TRUST_POLICY:
        raise _exceeded(f"Cannot exceed quota for ACLSizePerRole: {MAX_TRUST_POLICY}")
    yield from ()


def _managed(parameters: Parameters, _region: str) -> Iterator[Violation]:
    if _size(parameters["PolicyDocument"]) > MAX_MANAGED_POLICY:
        raise _exceeded(f"Cannot exceed quota for PolicySize: {MAX_MANAGED_POLICY}")
    yield from ()


def _inline(kind: str) -> Check:
    """Check of the aggregate size of an identity's inline policies."""

    def check(parameters: Parameters, region: str) -> Iterator[Violation]:
        name, limit = parameters[f"{kind}Name"], MAX_INLINE_POLICIES[kind]
        others = {
            policy: document
            for policy, document in _inline_policies(kind, name, region).items()
            if policy != parameters["PolicyName"]
        }
        if sum(map(_size, [*others.values(), parameters["PolicyDocument"]])) > limit:
            raise _exceeded(f"Maximum policy size of {limit} bytes exceeded for {kind.lower()} {name}")
        yield from ()

    return check


def _inline_policies(kind: str, name: str, region: str) -> dict[str, str]:
    """Inline policies of an identity by name; none when it does not exist."""
    identity = _identity(kind, name, region)
    policies = getattr(identity, "policies", {})
    return {policy: document for policy, document in policies.items() if isinstance(document, str)}


def _attach(kind: str) -> Check:
    """Check of the number of managed policies of an identity."""

    def check(parameters: Parameters, region: str) -> Iterator[Violation]:
        identity = _identity(kind, parameters[f"{kind}Name"], region)
        attached = {*getattr(identity, "managed_policies", {}), parameters["PolicyArn"]}
        if len(attached) > MAX_ATTACHED_POLICIES:
            raise _exceeded(f"Cannot exceed quota for PoliciesPer{kind}: {MAX_ATTACHED_POLICIES}")
        yield from ()

    return check


def _identity(kind: str, name: str, region: str) -> Any:
    """moto's role, group or user; None when it does not exist."""
    iam = moto_state.backend("iam", region)
    if kind == "Role":
        return next((role for role in iam.roles.values() if role.name == name), None)
    return (iam.groups if kind == "Group" else iam.users).get(name)


def _exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceeded", message, 409)


CHECKS: Mapping[tuple[str, str], tuple[Check, ...]] = {
    ("iam", "CreateRole"): (_trust,),
    ("iam", "UpdateAssumeRolePolicy"): (_trust,),
    ("iam", "CreatePolicy"): (_managed,),
    ("iam", "CreatePolicyVersion"): (_managed,),
    **{("iam", f"Put{kind}Policy"): (_inline(kind),) for kind in MAX_INLINE_POLICIES},
    **{("iam", f"Attach{kind}Policy"): (_attach(kind),) for kind in MAX_INLINE_POLICIES},
}
