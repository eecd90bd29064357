"""Service quotas: what a stage needs, and what the account has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ci.preflight.quotas import check_quotas, needs
from ci.preflight.stage import StageInAccount, load_stage
from emulator.app import Emulator
from tests.ci.preflight.json_service import Answers
from tests.ci.preflight.support import MISSING, OK, client, stage_at
from tests.repository import ROOT


def quotas_of(stage: StageInAccount) -> dict[str, int]:
    return {need.name: need.needed for need in needs(stage, 0)}


def test_needed_quotas_follow_from_the_stage_files() -> None:
    on_demand = "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
    spot = "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
    build = "Concurrently running builds for Linux/Medium environment"
    assert quotas_of(stage_at("http://127.0.0.1:9", "dev")) == {
        "Concurrent executions": 29,  # 50 requests per second of 0.5 s, and four functions
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
    assert "request 29 in Service Quotas (lambda, ap-northeast-2)" in concurrency.action


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
