"""KMS key: rotation, policy and permissions."""

import json
from typing import Any

import pulumi_aws as aws
import pytest

from components.iam import policy
from components.key import Key, KeyArgs
from tests import pulumi_engine
from tests.pulumi_engine import ACCOUNT, REGION, Recording

KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/key-1"


def build(**overrides: Any) -> Recording:
    args = KeyArgs(**{"alias": "ncf-dev", "protect": False, **overrides})

    def program() -> dict[str, Any]:
        key = Key("key", args)
        aws.cloudwatch.LogGroup("logs", kms_key_id=key.arn)
        return {
            "where": [key.partition, key.region, key.account_id],
            "encrypt": policy([key.grant_encrypt()]),
            "decrypt": policy([key.grant_decrypt()]),
        }

    return pulumi_engine.run(program)


def statements(done: Recording) -> dict[str, Any]:
    document = json.loads(done.one("aws:kms/keyPolicy:KeyPolicy").inputs["policy"])
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_key_rotates_and_has_an_alias() -> None:
    done = build()
    assert done.one("aws:kms/key:Key").inputs["enableKeyRotation"] is True
    assert done.one("aws:kms/alias:Alias").inputs["name"] == "alias/ncf-dev"


def test_key_has_partition_region_and_account() -> None:
    assert build().values["where"] == ["aws", REGION, ACCOUNT]


def test_account_has_full_access() -> None:
    by_sid = statements(build(services=["events.amazonaws.com"]))
    assert by_sid["IamDecides"]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert [sid for sid, statement in by_sid.items() if statement["Action"] == "kms:*"] == ["IamDecides"]


def test_log_groups_of_account_and_region_may_use_the_key() -> None:
    logs = statements(build())["CloudWatchLogs"]
    assert logs["Principal"] == {"Service": f"logs.{REGION}.amazonaws.com"}
    assert logs["Condition"] == {
        "ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:*"}
    }


def test_services_may_use_the_key_for_the_account_only() -> None:
    by_sid = statements(build(services=["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]))
    statement = by_sid["ServicesOfTheAccount"]
    assert statement["Principal"] == {"Service": ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert "ServicesOfTheAccount" not in statements(build())


def test_unbound_service_may_use_the_key_without_condition() -> None:
    statement = statements(build(unbound_services=["events.amazonaws.com"]))["UnboundServices"]
    assert statement["Principal"] == {"Service": ["events.amazonaws.com"]}
    assert "Condition" not in statement


def test_arn_resolves_after_the_policy() -> None:
    done = build()
    waited_for = done.one("aws:cloudwatch/logGroup:LogGroup").dependencies
    assert done.one("aws:kms/keyPolicy:KeyPolicy").urn in waited_for


def test_decrypt_permission_does_not_include_encrypt() -> None:
    values = build().values
    read, write = (json.loads(values[name])["Statement"][0] for name in ("decrypt", "encrypt"))
    assert read["Action"] == ["kms:Decrypt"]
    assert write["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert read["Resource"] == write["Resource"] == [KEY_ARN]


def test_only_the_key_is_protected() -> None:
    assert [each.type for each in build(protect=True).resources if each.protect] == ["aws:kms/key:Key"]


@pytest.mark.parametrize("days", [6, 31])
def test_deletion_window_outside_of_kms_limits_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="KMS takes 7 to 30"):
        KeyArgs(alias="ncf-dev", protect=False, deletion_window_days=days)
