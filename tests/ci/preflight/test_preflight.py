"""`ci.preflight`: each precondition is found where it is absent and where it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config
from rich.console import Console

from ci.preflight import account, deployed
from ci.preflight.__main__ import exit_code, findings, table
from ci.preflight.finding import Finding, Status, findings_of
from ci.preflight.images import parse
from ci.preflight.quotas import check_quotas, needs
from ci.preflight.stage import StageFileError, StageInAccount, load_stage
from emulator.app import Emulator
from tests.ci.preflight.json_service import Answers, json_service
from tests.repository import ROOT, STAGES
from tests.stacks.program import STORE

REGION, ACCOUNT = "ap-northeast-2", "123456789012"
OK, MISSING, UNKNOWN, LATER = Status.OK, Status.MISSING, Status.UNKNOWN, Status.LATER
FAST = Config(retries={"max_attempts": 1, "mode": "standard"}, connect_timeout=2, read_timeout=10)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(root=tmp_path_factory.mktemp("emulator")).start() as running:
        yield running


@pytest.fixture
def answers() -> Answers:
    return {}


@pytest.fixture
def fake_url(answers: Answers) -> Iterator[str]:
    with json_service(answers) as url:
        yield url


def client(service: str, region: str, url: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=region, endpoint_url=url, config=FAST, **keys)


def stage_at(url: str, name: str = "dev", **environment: str) -> StageInAccount:
    """A stage file of this repository, and an account at an endpoint URL."""
    return load_stage(name, ROOT, environment, lambda service, region: client(service, region, url))


def status_of(
    check: Callable[[StageInAccount], Iterator[Finding]], stage: StageInAccount
) -> dict[str, Status]:
    return {each.subject: each.status for each in check(stage)}


def with_config(stage: StageInAccount, **sections: Any) -> StageInAccount:
    return replace(stage, config=stage.config.model_copy(update=sections))


# -- the account, in the emulator ----------------------------------------------------------------


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


# -- the deployed stage, in the emulator ---------------------------------------------------------


def test_checks_of_a_deployed_stage_wait_for_the_deployment(emulator: Emulator) -> None:
    stage = stage_at(emulator.url, "prod")
    statuses = [each.status for _, check in deployed.CHECKS for each in check(stage)]
    assert statuses == [LATER] * 4


def test_training_code_and_interactions(emulator: Emulator) -> None:
    stage, s3 = stage_at(emulator.url), emulator.client("s3")
    for name in ("data", "artifacts"):
        s3.create_bucket(
            Bucket=f"ncf-dev-{name}-1a2b3c", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    assert status_of(deployed.check_code_bundle, stage) == {"training code": MISSING}
    assert status_of(deployed.check_interactions, stage) == {"interactions": MISSING}
    s3.put_object(Bucket="ncf-dev-artifacts-1a2b3c", Key="code/source.zip", Body=b"x")
    s3.put_object(Bucket="ncf-dev-data-1a2b3c", Key="raw/interactions/a.csv", Body=b"x")
    assert status_of(deployed.check_code_bundle, stage) == {"training code": OK}
    assert status_of(deployed.check_interactions, stage) == {"interactions": OK}


class Listing:
    """Client with the answers of its list operations."""

    def __init__(self, **pages: Any) -> None:
        self._pages = pages

    def get_paginator(self, operation: str) -> Any:
        pages = self._pages[operation]
        return type("Paginator", (), {"paginate": lambda _self, **_: [pages]})()


@pytest.mark.parametrize(
    ("budgets", "deployed_bucket", "status"),
    [
        ({}, None, LATER),
        ({}, "ncf-dev-artifacts-1a2b3c", MISSING),
        ({"ncf-prod-budget-1a2b3c": 1.0}, "ncf-dev-artifacts-1a2b3c", MISSING),
        ({"ncf-dev-budget-1a2b3c": 0.0}, "ncf-dev-artifacts-1a2b3c", OK),
        ({"ncf-dev-budget-1a2b3c": 1.0}, "ncf-dev-artifacts-1a2b3c", MISSING),
    ],
)
def test_deployed_stage_has_the_budget_of_its_stage_file(
    emulator: Emulator, budgets: dict[str, float], deployed_bucket: str | None, status: Status
) -> None:
    """Amounts are relative to the limit of the stage file."""
    stage = stage_at(emulator.url)
    limit = stage.config.operations.monthly_budget_usd
    listed = [
        {"BudgetName": name, "BudgetLimit": {"Amount": f"{limit + more:.1f}", "Unit": "USD"}}
        for name, more in budgets.items()
    ]
    clients = {
        "budgets": Listing(describe_budgets={"Budgets": listed}),
        "s3": Listing(list_buckets={"Buckets": [{"Name": deployed_bucket}] if deployed_bucket else []}),
        "sts": client("sts", REGION, emulator.url),
    }
    listing = replace(stage, connect=lambda service, _region: clients[service])
    assert status_of(deployed.check_budget, listing) == {"budget": status}


def test_alarm_subscription_of_another_address_is_missing(emulator: Emulator) -> None:
    stage, sns = stage_at(emulator.url), emulator.client("sns")
    subject = f"alarm subscription of {stage.config.operations.alarm_email}"
    topic = sns.create_topic(Name="ncf-dev-alarms-1a2b3c")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@example.com")
    assert status_of(deployed.check_subscription, stage) == {subject: MISSING}


def subscriptions(arn: str, email: str) -> Listing:
    """SNS client with one topic and one subscription."""
    return Listing(
        list_topics={"Topics": [{"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:ncf-dev-alarms-1a2b3c"}]},
        list_subscriptions_by_topic={"Subscriptions": [{"SubscriptionArn": arn, "Endpoint": email}]},
    )


@pytest.mark.parametrize(
    ("arn", "expected"),
    [("PendingConfirmation", MISSING), (f"arn:aws:sns:{REGION}:{ACCOUNT}:ncf-dev-alarms-1a2b3c:1", OK)],
)
def test_unconfirmed_alarm_subscription_is_missing(arn: str, expected: Status) -> None:
    stage = stage_at("http://127.0.0.1:9")
    email = stage.config.operations.alarm_email
    stage = replace(stage, connect=lambda service, region: subscriptions(arn, email))
    assert status_of(deployed.check_subscription, stage) == {f"alarm subscription of {email}": expected}


# -- quotas, cost tag, layer and release: JSON operations ----------------------------------------


def quotas_of(stage: StageInAccount) -> dict[str, int]:
    return {need.name: need.needed for need in needs(stage, 0)}


def test_needed_quotas_follow_from_the_stage_files() -> None:
    on_demand = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
    spot = "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
    build = "Concurrently running builds for Linux/Medium environment"
    assert quotas_of(stage_at("http://127.0.0.1:9", "dev")) == {
        "Concurrent executions": 28,  # 50 requests per second of 0.5 s, and three functions
        on_demand: 20,
        spot: 8,
        "ml.m5.xlarge for spot training job usage": 1,
        "ml.m5.xlarge for processing job usage": 1,
        "ml.m5.large for endpoint usage": 4,
        build: 1,
        "VPCs per Region": 1,
    }
    assert quotas_of(stage_at("http://127.0.0.1:9", "prod")) == {
        "Concurrent executions": 200,  # 100 reserved, 100 unreserved
        on_demand: 36,
        spot: 48,
        "ml.m5.xlarge for spot training job usage": 1,
        "ml.m5.xlarge for processing job usage": 1,
        "ml.m5.xlarge for endpoint usage": 20,
        build: 1,
        "VPCs per Region": 1,
    }


def service_quotas(values: Mapping[str, float], applied: Mapping[str, float]) -> Answers:
    """Service Quotas with default and applied values by name or code; lists have one quota per page."""

    def get(given: Mapping[str, float]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def answer(request: dict[str, Any]) -> dict[str, Any]:
            code = request["QuotaCode"]
            if code not in given:
                return {"__type": "NoSuchResourceException", "Message": "no such quota"}
            return {"Quota": {"QuotaCode": code, "Value": given[code]}}

        return answer

    def page(given: Mapping[str, float]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def answer(request: dict[str, Any]) -> dict[str, Any]:
            names = sorted(given)
            index = int(request.get("NextToken", 0))
            more = {"NextToken": str(index + 1)} if index + 1 < len(names) else {}
            quotas = [{"QuotaName": name, "Value": given[name]} for name in names[index : index + 1]]
            return {"Quotas": quotas, **more}

        return answer

    return {
        "GetServiceQuota": get(applied),
        "GetAWSDefaultServiceQuota": get(values),
        "ListServiceQuotas": page(applied),
        "ListAWSDefaultServiceQuotas": page(values),
    }


def quota_stage(emulator: Emulator, fake_url: str) -> StageInAccount:
    """VPCs in the emulator, quotas at the server of the test."""
    return load_stage(
        "dev",
        ROOT,
        {},
        lambda service, region: client(
            service, region, fake_url if service == "service-quotas" else emulator.url
        ),
    )


def test_quota_below_the_need_is_missing_and_applied_values_win(
    emulator: Emulator, fake_url: str, answers: Answers
) -> None:
    defaults = {
        "L-B99A9384": 1000,
        "L-1216C47A": 20,
        "L-34B43A08": 7,
        "L-F678F1CE": 5,
        "A quota of another name": 9,
        "Concurrently running builds for Linux/Medium environment": 1,
        "ml.m5.xlarge for spot training job usage": 0,
        "ml.m5.xlarge for processing job usage": 0,
        "ml.m5.large for endpoint usage": 4,
    }
    applied = {"L-B99A9384": 10, "ml.m5.xlarge for processing job usage": 1}
    answers.update(service_quotas(defaults, applied))
    found = list(check_quotas(quota_stage(emulator, fake_url)))
    missing = {each.subject: each.present for each in found if each.status is MISSING}
    assert missing == {
        "quota: Concurrent executions": "10",
        "quota: All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests": "7",
        "quota: ml.m5.xlarge for spot training job usage": "0",
    }
    assert {each.status for each in found} == {OK, MISSING}
    (concurrency,) = [each for each in found if "Concurrent executions" in each.subject]
    assert "request 28 in Service Quotas (lambda, ap-northeast-2)" in concurrency.action


def test_quota_that_aws_does_not_list_is_not_ok(emulator: Emulator, fake_url: str, answers: Answers) -> None:
    answers.update(
        service_quotas(dict.fromkeys(("L-B99A9384", "L-1216C47A", "L-34B43A08", "L-F678F1CE"), 99), {})
    )
    found = {each.subject: each for each in check_quotas(quota_stage(emulator, fake_url))}
    endpoint = found["quota: ml.m5.large for endpoint usage"]
    assert (endpoint.status, endpoint.present) == (MISSING, "no such quota")


def test_vpcs_of_others_count_and_that_of_the_stage_does_not(
    emulator: Emulator, fake_url: str, answers: Answers
) -> None:
    answers.update(service_quotas({"L-F678F1CE": 5}, {}))
    stage, ec2 = quota_stage(emulator, fake_url), emulator.client("ec2")

    def needed() -> str:
        return next(each.needed for each in check_quotas(stage) if "VPCs" in each.subject)

    before = int(needed().split()[0])
    vpc = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    assert int(needed().split()[0]) == before + 1
    tags = stage.config.tags.model_dump()
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    assert int(needed().split()[0]) == before


@pytest.mark.parametrize(
    ("pages", "expected", "present"),
    [
        ([[]], MISSING, "AWS has not seen the tag yet"),
        ([[("Stage", "Inactive")]], MISSING, "inactive"),
        ([[], [("Stage", "Active")]], OK, "active"),
    ],
)
def test_cost_allocation_tag_is_active(
    pages: list[list[tuple[str, str]]], expected: Status, present: str, fake_url: str, answers: Answers
) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        index = int(request.get("NextToken", 0))
        tags = [{"TagKey": key, "Status": status, "Type": "UserDefined"} for key, status in pages[index]]
        return {
            "CostAllocationTags": tags,
            **({"NextToken": str(index + 1)} if index + 1 < len(pages) else {}),
        }

    answers["ListCostAllocationTags"] = answer
    (tag,) = account.check_cost_tag(stage_at(fake_url))
    assert (tag.status, tag.present) == (expected, present)


def test_powertools_layer_and_emr_release(fake_url: str, answers: Answers) -> None:
    stage, layers = stage_at(fake_url), "/2018-10-31/layers"
    answers[layers] = lambda _: {"Version": 38}
    answers["DescribeReleaseLabel"] = lambda _: {"ReleaseLabel": "emr-7.12.0"}
    assert status_of(account.check_layer, stage) == {"Powertools layer": OK}
    assert status_of(account.check_emr_release, stage) == {"EMR release": OK}
    answers[layers] = lambda _: {"__type": "ResourceNotFoundException", "Message": "no such version"}
    answers["DescribeReleaseLabel"] = lambda _: {"__type": "InvalidRequestException", "Message": "no"}
    assert status_of(account.check_layer, stage) == {"Powertools layer": MISSING}
    assert status_of(account.check_emr_release, stage) == {"EMR release": MISSING}


def test_images_of_the_stage(fake_url: str, answers: Answers) -> None:
    stage, requests = stage_at(fake_url), []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        requests.append((request["registryId"], request["repositoryName"], request["imageIds"]))
        if request["repositoryName"] == "pytorch-training":
            return {"images": [{"imageId": request["imageIds"][0]}], "failures": []}
        return {"images": [], "failures": [{"failureCode": "ImageNotFound"}]}

    answers["BatchGetImage"] = answer
    assert status_of(account.check_images, stage) == {
        "SageMaker image for training": OK,
        "SageMaker image for evaluation": OK,
        "SageMaker image for serving": MISSING,
    }
    serving = stage.config.serving
    tag = f"{serving.framework_version}-cpu-{serving.py_version}"
    assert requests[-1] == ("763104351884", "pytorch-inference", [{"imageTag": tag}])
    answers["BatchGetImage"] = lambda _: {"__type": "RepositoryNotFoundException", "Message": "no"}
    assert set(status_of(account.check_images, stage).values()) == {MISSING}


def test_image_by_digest() -> None:
    image = parse(f"{ACCOUNT}.dkr.ecr.ap-northeast-2.amazonaws.com/own@sha256:{'a' * 64}")
    assert (image.account_id, image.repository) == (ACCOUNT, "own")
    assert image.selector() == {"imageDigest": f"sha256:{'a' * 64}"}


# -- errors, table and exit codes ----------------------------------------------------------------


def test_what_cannot_be_read_is_never_ok(fake_url: str, answers: Answers) -> None:
    answers["/2018-10-31/layers"] = lambda _: {"__type": "AccessDeniedException", "Message": "not authorized"}
    stage = stage_at(fake_url)
    (denied,) = findings_of("Powertools layer", lambda: account.check_layer(stage))
    assert (denied.status, denied.present) == (
        UNKNOWN,
        "GetLayerVersionByArn: AccessDeniedException: not authorized",
    )
    nowhere = stage_at("http://127.0.0.1:9")
    (unreachable,) = findings_of("EMR release", lambda: account.check_emr_release(nowhere))
    assert unreachable.status is UNKNOWN
    assert "127.0.0.1:9" in unreachable.present


@pytest.mark.parametrize(
    ("statuses", "code"),
    [([OK, LATER], 0), ([OK, UNKNOWN], 3), ([UNKNOWN, MISSING, OK], 1), ([], 0)],
)
def test_exit_code(statuses: list[Status], code: int) -> None:
    assert exit_code([Finding(subject="s", status=status) for status in statuses]) == code


def test_missing_rows_come_first_with_what_to_do() -> None:
    rows = [
        Finding(subject="there", status=OK),
        Finding(subject="absent", status=MISSING, action="create [it]"),
    ]
    out = StringIO()
    Console(file=out, width=120).print(table("dev", rows))
    text = out.getvalue()
    assert text.index("absent") < text.index("there")
    assert "create [it]" in text


@pytest.mark.parametrize("stage", STAGES)
def test_command_prints_the_table_of_a_stage(stage: str, emulator: Emulator) -> None:
    done = command(stage, AWS_ENDPOINT_URL=emulator.url)
    assert done.returncode == 1, done.stderr
    assert f"{stage} in account {ACCOUNT}, {REGION}" in done.stdout
    # The emulator does not run these operations.
    assert done.stdout.count("could not be checked") > 3
    assert "NotImplemented" in done.stdout


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PULUMI_"))}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "COLUMNS": "240"}
    return subprocess.run(
        [sys.executable, "-m", "ci.preflight", *arguments],
        cwd=ROOT,
        env={**inherited, **keys, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_unknown_stage_is_refused() -> None:
    done = command("nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Pulumi.nowhere.yaml: no such file" in done.stderr


def test_wrong_stage_file_is_refused_with_its_key(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    document["config"]["ncf:api"]["rate"] = 1
    (tmp_path / "Pulumi.yaml").write_text("name: ncf\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(StageFileError, match=r"Pulumi.dev.yaml: ncf:api.rate is not known"):
        load_stage("dev", tmp_path, {}, lambda service, region: None)


def test_every_check_runs(emulator: Emulator) -> None:
    subjects = " ".join(each.subject for each in findings(stage_at(emulator.url, "prod")))
    for subject, _ in (*account.CHECKS, *deployed.CHECKS):
        if subject != "secret of the feature store":  # null in the stage files
            assert subject.removesuffix("s").split()[0] in subjects, subject
