"""IAM policy evaluation: elements of a statement, conditions, explicit deny."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.authorization.policies import Call, decide

RULE = "arn:aws:events:eu-west-1:123456789012:rule/r"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:f"
INVOKE = Call(
    "lambda:InvokeFunction",
    FUNCTION,
    "events.amazonaws.com",
    {"aws:SourceArn": RULE, "aws:SourceAccount": "123456789012"},
)


def statement(**changes: Any) -> dict[str, Any]:
    """Statement of a resource policy that allows `INVOKE`, with changes; None removes an element."""
    whole = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": FUNCTION,
        "Condition": {"ArnLike": {"AWS:SourceArn": RULE}},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "allowed"),
        ({"Action": "lambda:*"}, "allowed"),
        ({"Action": ["LAMBDA:invokefunction"]}, "allowed"),
        ({"Action": "lambda:GetFunction"}, "implicitDeny"),
        ({"Resource": "arn:aws:lambda:*:*:function:?"}, "allowed"),
        ({"Resource": f"{FUNCTION}2"}, "implicitDeny"),
        ({"Principal": {"Service": "s3.amazonaws.com"}}, "implicitDeny"),
        ({"Principal": {"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}}, "allowed"),
        ({"Principal": "*"}, "allowed"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, "implicitDeny"),
        ({"Condition": {"ArnLike": {"aws:SourceArn": f"{RULE}2"}}}, "implicitDeny"),
        ({"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:events:*:*:rule/*"}}}, "allowed"),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": ["1", "123456789012"]}}}, "allowed"),
        ({"Condition": {"StringNotEquals": {"aws:SourceAccount": "123456789012"}}}, "implicitDeny"),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, "implicitDeny"),
        ({"Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}, "allowed"),
        ({"Condition": {"Null": {"aws:SourceArn": "true"}}}, "implicitDeny"),
        ({"Condition": {"DateLessThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}}}, "implicitDeny"),
        ({"Effect": "Deny"}, "explicitDeny"),
        ({"Action": None, "NotAction": "lambda:Invoke*"}, "implicitDeny"),
        ({"Resource": None, "NotResource": "arn:aws:s3:::b"}, "allowed"),
    ],
)
def test_statement_applies_when_all_elements_match(changes: dict[str, Any], expected: str) -> None:
    assert decide([{"Statement": statement(**changes)}], INVOKE) == expected


def test_deny_overrides_allow() -> None:
    documents = [{"Statement": [statement()]}, {"Statement": [statement(Effect="Deny")]}]
    assert decide(documents, INVOKE) == "explicitDeny"


def test_identity_policy_needs_no_principal() -> None:
    document = {"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}}
    assert decide([document], Call("s3:GetObject", "arn:aws:s3:::b/k/[x]")) == "allowed"
    assert decide([document], Call("s3:PutObject", "arn:aws:s3:::b/k")) == "implicitDeny"
