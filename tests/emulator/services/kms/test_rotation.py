"""GetKeyRotationStatus has the period and the next date; DescribeKey says that a key is regional."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from emulator.app import Emulator


def test_rotation_has_its_period_and_next_date(emulator: Emulator) -> None:
    kms = emulator.client("kms")
    key = kms.create_key()["KeyMetadata"]
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is False

    kms.enable_key_rotation(KeyId=key["KeyId"])
    status = kms.get_key_rotation_status(KeyId=key["KeyId"])
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (True, 365)
    assert status["KeyId"] == key["Arn"]
    wait = status["NextRotationDate"] - datetime.now(UTC)
    assert timedelta(days=364) < wait <= timedelta(days=365)

    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["RotationPeriodInDays"] == 90
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert "RotationPeriodInDays" not in kms.get_key_rotation_status(KeyId=key["KeyId"])


def test_a_key_is_described_as_regional(emulator: Emulator) -> None:
    kms = emulator.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["MultiRegion"] is False
