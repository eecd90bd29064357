"""Input of a target: event, constant, path or transformer (with examples of the EventBridge user guide)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.services.events.input import render_input

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "7bf73129",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "n": 3, "more": {"say": 'a "b"'}},
}
PATHS = {"instance": "$.detail.instance-id", "status": "$.detail.state", "n": "$.detail.n"}
RULE = {"arn": "arn:aws:events:us-east-1:123456789012:rule/example", "name": "example"}


def transformed(template: str, **paths: str) -> str:
    """The template's output for `EVENT`."""
    transformer = {"InputPathsMap": {**PATHS, **paths}, "InputTemplate": template}
    return render_input({"InputTransformer": transformer}, EVENT, RULE)


def test_default_input_is_the_whole_event() -> None:
    assert json.loads(render_input({}, EVENT, RULE)) == EVENT


def test_constant_input_is_sent_unchanged() -> None:
    assert render_input({"Input": '{"a": 1}'}, EVENT, RULE) == '{"a": 1}'


def test_input_path_selects_part_of_event() -> None:
    assert render_input({"InputPath": "$.detail.more"}, EVENT, RULE) == json.dumps(EVENT["detail"]["more"])
    assert render_input({"InputPath": "$.resources[0]"}, EVENT, RULE) == json.dumps(EVENT["resources"][0])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"instance <instance> is in <status>"', "instance i-0123456789 is in RUNNING"),
        ('{"instance": <instance>, "state": <status>}', {"instance": "i-0123456789", "state": "RUNNING"}),
        (
            '{"instance": <instance>, "state": "<status>", "text": "instance \\"<instance>\\" is <status>"}',
            {"instance": "i-0123456789", "state": "RUNNING", "text": 'instance "i-0123456789" is RUNNING'},
        ),
        ('{"state": [9, <n>, true], "static": "Yes"}', {"state": [9, 3, True], "static": "Yes"}),
        (
            '{"rule": <aws.events.rule-arn>, "name": "<aws.events.rule-name>"}',
            {"rule": RULE["arn"], "name": "example"},
        ),
        ('{"at": <aws.events.event.ingestion-time>}', {"at": EVENT["time"]}),
        ('{"all": <aws.events.event.json>}', {"all": EVENT}),
        ('{"a": <missing>, "b": "x<missing>"}', {"a": "", "b": "x"}),
    ],
)
def test_input_template_is_filled(template: str, expected: Any) -> None:
    assert json.loads(transformed(template, missing="$.detail.nothing")) == expected


def test_placeholder_inside_quotes_is_escaped() -> None:
    output = transformed('{"text": "they say <say>"}', say="$.detail.more.say")
    assert json.loads(output) == {"text": 'they say a "b"'}
