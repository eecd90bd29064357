"""Warnings and gate decision of a package's evaluation are in its metadata before anybody approves it."""

from __future__ import annotations

import json

import pytest

from tests.lambdas.deploy_model.calls import Invoke, promotion
from tests.lambdas.deploy_model.conftest import REPORT_KEY
from tests.lambdas.deploy_model.fake_sagemaker import FakeSageMaker
from tests.lambdas.fake_s3 import FakeS3

ABSENT = "the champion counts as absent: NCF-prod: ClientError('An error occurred (404)')"


@pytest.mark.parametrize("approval", ["Approved", "PendingManualApproval"])
def test_champion_that_could_not_be_read_is_a_warning_on_the_package(
    fake: FakeSageMaker, s3: FakeS3, invoke: Invoke, approval: str
) -> None:
    s3.objects["artifacts", REPORT_KEY] = json.dumps({"warnings": [ABSENT, "x" * 300]}).encode()
    arn = fake.register(approval)
    fake.models["pipelines-model"] = {}
    invoke(promotion(arn, "pipelines-model"))
    found = fake.metadata(arn)
    assert found["evaluation_warnings"].startswith(
        "the champion counts as absent: NCF-prod: ClientError--An error occurred -404--- - xx"
    )
    assert len(found["evaluation_warnings"]) == 256  # the longest value of a package's metadata
    assert (found["run_id"], found["model"]) == ("20261123T020000Z", "pipelines-model")


def test_package_of_an_evaluation_without_warnings_has_none(fake: FakeSageMaker, invoke: Invoke) -> None:
    arn = fake.register("PendingManualApproval")
    invoke(promotion(arn, "pipelines-model"))
    assert "evaluation_warnings" not in fake.metadata(arn)


def test_decision_of_the_gate_is_on_the_package(fake: FakeSageMaker, s3: FakeS3, invoke: Invoke) -> None:
    metrics = {"hr_at_10": {"value": 0.7}, "ndcg_at_10": {"change": -0.004, "bounds": [-0.015, 0.007]}}
    gate = {"decision": "adopted: no metric is worse", "metrics": metrics}
    s3.objects["artifacts", REPORT_KEY] = json.dumps({"warnings": [], "gate": gate}).encode()
    arn = fake.register("PendingManualApproval")
    invoke(promotion(arn, "pipelines-model"))
    expected = "adopted: no metric is worse - ndcg_at_10 -0.0040 from -0.0150 to +0.0070"
    assert fake.metadata(arn)["evaluation_gate"] == expected


def test_invalid_report_is_refused(fake: FakeSageMaker, s3: FakeS3, invoke: Invoke) -> None:
    s3.objects["artifacts", REPORT_KEY] = b"{}"
    with pytest.raises(ValueError, match="not an evaluation report"):
        invoke(promotion(fake.register(), "pipelines-model"))
