"""Grants and uses: logical names, needed grants."""

from __future__ import annotations

import pytest

from emulator.authorization.ledger import Use
from local.permissions.grants import Grant, denied, grants_of, unneeded
from local.permissions.names import Names, of_preview

NAMES = Names("ncf-dev-", "123456789012", {"0a1b": "key"})
READ = Grant("job", "s3:GetObject", "arn:aws:s3:::<data>/in/*")
READ_ALL = Grant("job", "s3:GetObject", "arn:aws:s3:::<data>/*")
WRITE = Grant("job", "s3:PutObject", "arn:aws:s3:::<data>/out/*")
USES = [
    Use("job", "s3:GetObject", "arn:aws:s3:::<data>/in/a"),
    Use("job", "s3:PutObject", "arn:aws:s3:::<data>/out/b"),
]


def test_use_without_grant_is_denied() -> None:
    assert denied([READ, WRITE], USES) == []
    assert denied([READ], USES) == USES[1:]
    assert denied([Grant("other", WRITE.action, WRITE.resource), READ], USES) == USES[1:]


def test_grant_that_no_use_needs_is_unneeded() -> None:
    assert unneeded([READ, WRITE], USES) == []
    assert unneeded([READ, WRITE], USES[:1]) == [WRITE]


def test_grants_that_include_each_other_are_unneeded() -> None:
    assert unneeded([READ, READ_ALL, WRITE], USES) == [READ_ALL, READ]


def test_condition_is_part_of_a_grant() -> None:
    condition = {"StringLike": {"s3:prefix": ["in*"]}}
    statement = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "b", "Condition": condition}
    (grant,) = grants_of("job", {"Statement": [statement]})
    listed = Use.of("job", "s3:ListBucket", "b", {"s3:prefix": "in/"})
    assert denied([grant], [listed, Use("job", "s3:ListBucket", "b")]) == [Use("job", "s3:ListBucket", "b")]


def test_deny_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="only Allow"):
        list(grants_of("job", {"Statement": [{"Effect": "Deny", "Action": "a:B", "Resource": "*"}]}))


@pytest.mark.parametrize(
    ("physical", "logical"),
    [
        ("arn:aws:s3:::ncf-dev-data-1a2b3c/prepared/x", "arn:aws:s3:::<data>/prepared/x"),
        ("arn:aws:iam::123456789012:role/ncf-dev-job-role-0f9e8d", "arn:aws:iam::<account>:role/<job-role>"),
        ("arn:aws:kms:eu-west-1:123456789012:key/0a1b", "arn:aws:kms:eu-west-1:<account>:key/<key>"),
        (
            "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/ncf-dev",
            "arn:aws:sagemaker:eu-west-1:<account>:endpoint/ncf-dev",
        ),
    ],
)
def test_physical_name_becomes_logical(physical: str, logical: str) -> None:
    assert NAMES.logical(physical) == logical


def test_what_differs_between_runs_has_a_placeholder() -> None:
    use = Use(
        "arn:aws:iam::123456789012:role/ncf-dev-job-role-0f9e8d",
        "s3:GetObject",
        "arn:aws:s3:::ncf-dev-data-1a2b3c/prepared/run=20991231T000000Z/train/part-00000-ab-c000.parquet",
    )
    assert NAMES.use(use) == Use(
        "job-role", "s3:GetObject", "arn:aws:s3:::<data>/prepared/run=<run>/train/<part>"
    )


def test_references_of_a_preview_are_logical_names() -> None:
    assert of_preview("arn:aws:s3:::${data}/x ${job-role.name}") == "arn:aws:s3:::<data>/x <job-role>"
