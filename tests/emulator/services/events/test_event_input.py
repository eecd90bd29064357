"""Input of a target: event, constant, path or transformer (with examples of the EventBridge user guide)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
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


def template(text: str) -> dict[str, Any]:
    """InputTransformer of a target."""
    return {"InputTransformer": {"InputPathsMap": PATHS, "InputTemplate": text}}


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


# "EventBridge doesn't escape values extracted by Input Path, when populating the Input Template", and "If a
# JSON path references a JSON object or array, but the variable is referenced in a string, EventBridge removes
# any internal quotes to ensure a valid string" (user guide, "Common issues with transforming input").
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"text": "they say <say>"}', '{"text": "they say a "b""}'),  # no JSON: the target refuses it
        ('{"text":<say>}', r'{"text":"a \"b\""}'),  # outside quotes it is a JSON string
        ('"they say <say>"', '"they say a "b""'),
        (
            '{"text":"all: <resources>"}',
            '{"text":"all: [arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789]"}',
        ),
        ('{"text":"<detail>"}', '{"text":"{note: x}"}'),
        ('{"n":"<n>"}', '{"n":"3"}'),
    ],
)
def test_values_inside_quotes_are_not_escaped(template: str, expected: str) -> None:
    event = EVENT | {"note": {"note": "x"}}
    paths = {"say": "$.detail.more.say", "resources": "$.resources", "detail": "$.note", "n": "$.detail.n"}
    target = {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}
    assert render_input(target, event, RULE) == expected


def test_json_is_sent_minified() -> None:
    # The same page: "The JSON that is passed to the target is minified and escaped."
    assert transformed('{\n  "state" : <status>,\n  "n": [ 9, <n> ]\n}') == '{"state":"RUNNING","n":[9,3]}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # API reference, InputTransformer: "The placeholder cannot be used as an object key"; user guide:
        # "For Strings, quotes are required".
        (template('{"<instance>": 1}'), "has a placeholder as an object key"),
        (template("instance <instance>"), "not valid JSON: strings need quotes"),
        (template('{"a": <instance>'), "not valid JSON"),
        (template('{"a": <nothing>}'), "contains invalid placeholder nothing"),
        # API reference, Target: Input is "Valid JSON text", and the three are mutually exclusive.
        ({"Input": "text"}, "JSON syntax error"),
        ({"Input": "{}", "InputPath": "$.detail"}, "Only one of Input, InputPath, or InputTransformer"),
        ({"Arn": "arn:aws:codebuild:eu-west-1:123456789012:project/p"}, "RoleArn is required"),
        ({"Arn": "arn:aws:sqs:eu-west-1:123456789012:q.fifo"}, "SqsParameters must be specified"),
    ],
)
def test_target_that_eventbridge_refuses_is_refused(
    emulator: Emulator, change: dict[str, Any], message: str
) -> None:
    events = emulator.client("events")
    events.put_rule(Name="refused", EventPattern='{"source": ["shop"]}')
    target = {"Id": "1", "Arn": "arn:aws:sqs:eu-west-1:123456789012:q", **change}
    with pytest.raises(ClientError, match=message) as caught:
        events.put_targets(Rule="refused", Targets=[target])
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert events.list_targets_by_rule(Rule="refused")["Targets"] == []


@pytest.mark.parametrize(
    "text", ['"<instance> is up"', '"one <instance>"\n"two"', "<instance>", '{"a": [<n>]}']
)
def test_template_that_eventbridge_accepts_is_accepted(emulator: Emulator, text: str) -> None:
    events = emulator.client("events")
    events.put_rule(Name="accepted", EventPattern='{"source": ["shop"]}')
    target = {"Id": "1", "Arn": "arn:aws:sqs:eu-west-1:123456789012:q", **template(text)}
    assert events.put_targets(Rule="accepted", Targets=[target])["FailedEntryCount"] == 0
