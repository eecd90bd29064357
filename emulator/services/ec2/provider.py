"""EC2 provider: descriptions and changes of security-group rules, deletion of VPC endpoints.

moto keeps a description for address ranges only, and changes only protocol, ports and IPv4 range of a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.ec2.exceptions import (
    InvalidParameterValue,
    InvalidSecurityGroupNotFoundError,
    InvalidSecurityGroupRuleIdNotFoundError,
    MissingParameter,
)
from moto.ec2.models.security_groups import SecurityGroupBackend, SecurityGroupRule
from moto.ec2.models.vpcs import VPCBackend

from emulator.moto_patches import MotoPatches
from emulator.provider import Provider

SOURCES = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")
ALL_PROTOCOLS = "-1"


class Ec2Provider(Provider):
    """Patches moto's security-group rules and VPC endpoints."""

    def __init__(self) -> None:
        self._patches = MotoPatches()
        self._patches.replace(SecurityGroupRule, "__init__", _make_init)
        self._patches.replace(SecurityGroupRule, "description", lambda _: property(_description))
        self._patches.replace(SecurityGroupRule, "__eq__", _make_equal)
        self._patches.replace(SecurityGroupBackend, "modify_security_group_rules", lambda _: _modify_rules)
        # moto lists a deleted endpoint forever.
        self._patches.replace(VPCBackend, "delete_vpc_endpoints", _make_delete_endpoints)

    def close(self) -> None:
        """Undo the patches of moto."""
        self._patches.undo()


def _make_delete_endpoints(original: Callable[..., None]) -> Callable[..., None]:
    def delete_vpc_endpoints(self: Any, vpce_ids: list[str] | None = None) -> None:
        original(self, vpce_ids)
        for endpoint_id in vpce_ids or []:
            self.vpc_end_points.pop(endpoint_id, None)

    return delete_vpc_endpoints


def _make_init(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *args: Any, **settings: Any) -> None:
        original(self, *args, **settings)
        prefix_list = settings.get("prefix_list_id") or next(iter(args[7:8]), None) or {}
        self.prefix_list_description = prefix_list.get("Description")

    return init


def _description(rule: Any) -> str | None:
    return (
        rule.ip_range.get("Description")
        or rule.source_group.get("Description")
        or rule.prefix_list_description
    )


def _make_equal(original: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Compare rules without their descriptions, as EC2 does to find duplicates and rules to revoke."""

    def equal(self: Any, other: Any) -> bool:
        kept = self.source_group, other.source_group
        self.source_group, other.source_group = map(_without_description, kept)
        try:
            return original(self, other)
        finally:
            self.source_group, other.source_group = kept

    return equal


def _without_description(source: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in source.items() if name != "Description"}


def _modify_rules(self: Any, group_id: str, rules: Mapping[str, Mapping[str, Any]]) -> None:
    """ModifySecurityGroupRules: a rule gets exactly the settings of the request."""
    group = self.get_security_group_by_name_or_id(group_id)
    if group is None:
        raise InvalidSecurityGroupNotFoundError(group_id)
    for rule_id, new in rules.items():
        rule = group.get_rule(rule_id)
        if rule is None:
            raise InvalidSecurityGroupRuleIdNotFoundError(rule_id)
        _modify_rule(rule, rule_id, new)


def _modify_rule(rule: Any, rule_id: str, new: Mapping[str, Any]) -> None:
    sources = [name for name in SOURCES if new.get(name)]
    if len(sources) != 1:
        raise MissingParameter(
            "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId"
        )
    if sources[0] != _source_of(rule):
        raise InvalidParameterValue(
            f"Invalid rule type for security group rule '{rule_id}'. You may not specify {sources[0]} for an "
            "existing rule of another type."
        )
    protocol = new.get("IpProtocol")
    ports = (new.get("FromPort"), new.get("ToPort"))
    if protocol is None:
        raise InvalidParameterValue(
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."
        )
    if protocol != ALL_PROTOCOLS and None in ports:
        raise InvalidParameterValue(
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP."
        )
    rule.ip_protocol = protocol
    rule.from_port = None if protocol == ALL_PROTOCOLS else int(new["FromPort"])
    rule.to_port = None if protocol == ALL_PROTOCOLS else int(new["ToPort"])
    text = {"Description": new["Description"]} if new.get("Description") else {}
    value = new[sources[0]]
    match sources[0]:
        case "CidrIpv4":
            rule.ip_range = {"CidrIp": value, **text}
        case "CidrIpv6":
            rule.ip_range = {"CidrIpv6": value, **text}
        case "ReferencedGroupId":
            rule.source_group = {**_without_description(rule.source_group), "GroupId": value, **text}
        case _:
            rule.prefix_list_id, rule.prefix_list_description = value, new.get("Description")


def _source_of(rule: Any) -> str:
    if rule.cidr_ipv4:
        return "CidrIpv4"
    if rule.cidr_ipv6:
        return "CidrIpv6"
    return "PrefixListId" if rule.prefix_list_id else "ReferencedGroupId"
