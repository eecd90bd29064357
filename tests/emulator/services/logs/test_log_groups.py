"""DescribeLogGroups has the class of a log group."""

from __future__ import annotations

from emulator.app import Emulator


def test_log_groups_have_their_class(emulator: Emulator) -> None:
    logs = emulator.client("logs")
    logs.create_log_group(logGroupName="/shop/plain")
    logs.create_log_group(logGroupName="/shop/rare", logGroupClass="INFREQUENT_ACCESS")
    found = logs.describe_log_groups(logGroupNamePrefix="/shop/")["logGroups"]
    assert {group["logGroupName"]: group["logGroupClass"] for group in found} == {
        "/shop/plain": "STANDARD",
        "/shop/rare": "INFREQUENT_ACCESS",
    }
