"""Checks of what AWS offers: cost allocation tag, Lambda layer, EMR release and images."""

from __future__ import annotations

from typing import Any

import pytest

from ci.preflight import account
from ci.preflight.finding import Status
from ci.preflight.images import parse
from tests.ci.preflight.json_service import Answers
from tests.ci.preflight.support import ACCOUNT, MISSING, OK, stage_at, status_of


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
