"""CloudWatch alarms of a stage that need attention, and how many there are."""

from __future__ import annotations

from typing import Any

from local.console.source import Source

OK = "OK"


def alarms(source: Source) -> dict[str, Any]:
    """Number of alarms, and those that are not in the state OK: newest change first."""
    prefix = f"ncf-{source.stage}-"
    pages = source.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    found = [alarm for page in pages for alarm in page["MetricAlarms"]]
    active = [alarm for alarm in found if alarm["StateValue"] != OK]
    active.sort(key=lambda alarm: alarm["StateUpdatedTimestamp"], reverse=True)
    return {
        "count": len(found),
        "active": [
            {
                "name": alarm["AlarmName"].removeprefix(prefix),
                "state": alarm["StateValue"],
                "since": alarm["StateUpdatedTimestamp"].isoformat(timespec="seconds"),
                "reason": alarm.get("StateReason", ""),
                "description": alarm.get("AlarmDescription", ""),
            }
            for alarm in active
        ],
    }
