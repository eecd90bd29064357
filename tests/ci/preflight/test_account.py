"""Checks of the account: each precondition is found where it is absent and where it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ci.preflight import account
from ci.preflight.finding import Status
from emulator.app import Emulator
from tests.ci.preflight.support import MISSING, OK, REGION, UNKNOWN, stage_at, status_of, with_config
from tests.stacks.program import STORE


def test_region_and_zones(emulator: Emulator) -> None:
    stage = stage_at(emulator.url)
    assert status_of(account.check_region, stage) == {
        f"region {REGION}": OK,
        f"availability zone {REGION}a": OK,
    }
    network = stage.config.network.model_copy(update={"availability_zones": (f"{REGION}z",)})
    (zone,) = [f for f in account.check_region(with_config(stage, network=network)) if "zone" in f.subject]
    assert (zone.status, zone.present) == (MISSING, "not in this account")
    assert f"{REGION}a" in zone.action


@pytest.mark.parametrize(
    ("opt_in", "status"),
    [("opt-in-not-required", OK), ("opted-in", OK), ("not-opted-in", MISSING)],
)
def test_region_must_be_enabled(emulator: Emulator, opt_in: str, status: Status) -> None:
    class Regions:
        def describe_regions(self, **_: Any) -> dict[str, Any]:
            return {"Regions": [{"OptInStatus": opt_in}]}

        def describe_availability_zones(self) -> dict[str, Any]:
            return {"AvailabilityZones": [{"ZoneName": f"{REGION}a", "State": "impaired"}]}

    stage = replace(stage_at(emulator.url), connect=lambda _service, _region: Regions())
    region, zone = account.check_region(stage)
    assert (region.status, region.present) == (status, opt_in)
    assert ("aws account enable-region" in region.action) is (status is MISSING)
    assert (zone.status, zone.present) == (MISSING, "impaired")


def test_instance_types_are_offered_in_every_zone(emulator: Emulator) -> None:
    stage = stage_at(emulator.url, "prod")
    assert set(status_of(account.check_instance_types, stage).values()) == {OK}
    network = stage.config.network.model_copy(update={"availability_zones": (f"{REGION}a", f"{REGION}z")})
    for each in account.check_instance_types(with_config(stage, network=network)):
        assert (each.status, each.present) == (MISSING, f"none in {REGION}z")


def test_service_linked_roles(emulator: Emulator) -> None:
    stage = stage_at(emulator.url)
    first = list(account.check_service_linked_roles(stage))
    assert {each.status for each in first} == {MISSING}
    for each in first:
        service = each.action.rpartition(" ")[2]
        emulator.client("iam").create_service_linked_role(AWSServiceName=service)
    assert set(status_of(account.check_service_linked_roles, stage).values()) == {OK}


def test_role_of_airflow(emulator: Emulator) -> None:
    stage = stage_at(emulator.url, "prod")
    subject = "role of Airflow's workers"
    assert status_of(account.check_airflow_role, stage) == {subject: MISSING}
    emulator.client("iam").create_role(RoleName="airflow-workers", AssumeRolePolicyDocument="{}")
    assert status_of(account.check_airflow_role, stage) == {subject: OK}
    elsewhere = f"arn:aws:iam::{'9' * 12}:role/airflow-workers"
    spark = stage.config.spark.model_copy(update={"airflow_principal_arn": elsewhere})
    assert status_of(account.check_airflow_role, with_config(stage, spark=spark)) == {subject: UNKNOWN}
    assert status_of(account.check_airflow_role, stage_at(emulator.url, "dev")) == {}


def test_secret_of_the_feature_store(emulator: Emulator) -> None:
    stage = stage_at(emulator.url)
    assert status_of(account.check_feature_store, stage) == {}
    store = type("Store", (), STORE)
    subject = "secret of the feature store"
    assert status_of(account.check_feature_store, with_config(stage, feature_store=store)) == {
        subject: MISSING
    }
    secret = emulator.client("secretsmanager").create_secret(Name="ncf/mongodb", SecretString="x")
    store.secret_arn = secret["ARN"]
    assert status_of(account.check_feature_store, with_config(stage, feature_store=store)) == {subject: OK}


def test_state_bucket_is_versioned_and_private(emulator: Emulator) -> None:
    s3 = emulator.client("s3")
    stage = stage_at(emulator.url, PULUMI_BACKEND_URL=f"s3://pulumi-state?region={REGION}")
    subject = "state bucket pulumi-state"
    assert status_of(account.check_state, stage) == {subject: MISSING}
    s3.create_bucket(Bucket="pulumi-state", CreateBucketConfiguration={"LocationConstraint": REGION})
    (bare,) = account.check_state(stage)
    assert (bare.status, bare.present) == (MISSING, "versioning off, public access possible")
    s3.put_bucket_versioning(Bucket="pulumi-state", VersioningConfiguration={"Status": "Enabled"})
    assert status_of(account.check_state, stage) == {subject: MISSING}
    keys = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    block = dict.fromkeys(keys, True)
    s3.put_public_access_block(Bucket="pulumi-state", PublicAccessBlockConfiguration=block)
    assert status_of(account.check_state, stage) == {subject: OK}
    s3.put_public_access_block(
        Bucket="pulumi-state", PublicAccessBlockConfiguration={**block, "BlockPublicPolicy": False}
    )
    assert status_of(account.check_state, stage) == {subject: MISSING}


def test_state_elsewhere_is_not_reported_as_checked(emulator: Emulator) -> None:
    assert status_of(account.check_state, stage_at(emulator.url)) == {"Pulumi state": MISSING}
    cloud = stage_at(emulator.url, PULUMI_BACKEND_URL="https://api.pulumi.com")
    assert status_of(account.check_state, cloud) == {"Pulumi state": UNKNOWN}


def test_secrets_provider(emulator: Emulator) -> None:
    stage, subject = stage_at(emulator.url), "secrets provider"
    assert status_of(account.check_secrets, stage) == {subject: MISSING}
    with_passphrase = stage_at(emulator.url, PULUMI_CONFIG_PASSPHRASE="")
    assert status_of(account.check_secrets, with_passphrase) == {subject: OK}
    kms = emulator.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/pulumi", TargetKeyId=key)
    for provider, expected in (
        (f"awskms://{key}?region={REGION}", OK),
        (f"awskms://alias/pulumi?region={REGION}", OK),
        (
            "awskms:///arn:aws:kms:ap-northeast-2:123456789012:key/00000000-0000-0000-0000-000000000000",
            MISSING,
        ),
    ):
        given = replace(stage, secrets_provider=provider)
        assert status_of(account.check_secrets, given) == {subject: expected}, provider
    kms.disable_key(KeyId=key)
    disabled = replace(stage, secrets_provider=f"awskms://{key}?region={REGION}")
    assert status_of(account.check_secrets, disabled) == {subject: MISSING}
