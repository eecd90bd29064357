"""Reviews during rollouts: two approvals at once, a withdrawn one, and a model with fewer hits."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from local.variants.command import VariantOptions, run
from ml import contract
from tests.emulator.support import document
from tests.polling import eventually
from tests.rollouts.models import GOOD, UNWANTED
from tests.rollouts.stage import PAUSE_S, RolloutStage


def test_two_packages_approved_at_once_end_with_the_newest(stage: RolloutStage, serving: str) -> None:
    del serving
    stage.configure(WAIT_S="1")
    (first, _), (second, run_id) = stage.register(GOOD), stage.register(GOOD)
    with stage.clients() as clients:
        stage.review(first, "Approved")
        stage.review(second, "Approved")
        stage.wait_for(second, "Deployed")
        stage.review(second, "Approved")  # a repeated review changes nothing
        eventually(lambda: clients.answers[200, "ncf", run_id] > 0, what="the newest model answers")
    assert stage.deployment(first) in (None, "Deployed", "Waiting")
    assert clients.failures == []


def test_rejection_during_its_rollout_returns_to_the_previous_model(
    stage: RolloutStage, serving: str
) -> None:
    del serving
    before = stage.endpoint()["EndpointConfigName"]
    stage.configure(WAIT_S="12")
    arn, run_id = stage.register(GOOD)
    with stage.clients() as clients:
        stage.review(arn, "Approved")
        eventually(lambda: run_id in clients.versions(), stage.patience_s, "the canary answers")
        stage.review(arn, "Rejected")
        stage.wait_for(arn, "RolledBack")
    assert clients.failures == []
    endpoint = stage.endpoint()
    assert endpoint["EndpointConfigName"] == before
    assert "endpoint-rollout-errors" in endpoint["FailureReason"]
    # Its config and model can be deployed again.
    stage.configure(WAIT_S="1")
    stage.review(arn, "Approved")
    stage.wait_for(arn, "Deployed")
    # Rejected afterwards, it is replaced by the model before it.
    stage.review(arn, "Rejected")
    eventually(
        lambda: stage.endpoint()["EndpointConfigName"] == before,
        stage.patience_s,
        "the previous model serves",
    )
    stage.wait_for_status("InService")


def record_answers(stage: RolloutStage) -> None:
    """Change the API as `record_answers: true` does (tests/stacks/test_recorded_answers.py)."""
    stage.configure("recommend", RECORD_ANSWERS="true")
    iam, bucket = stage.stage.client("iam"), stage.stage.outputs["artifacts_bucket"]
    (role,) = (each for each in iam.list_roles()["Roles"] if "-recommend-role-" in each["RoleName"])
    key = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{bucket}/{contract.RECORDING_KEY}",
    }
    encrypt = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"}
    iam.put_role_policy(
        RoleName=role["RoleName"], PolicyName="recording", PolicyDocument=document(key, encrypt)
    )


def test_model_that_is_worse_on_live_traffic_is_rejected_and_the_old_one_serves(
    stage: RolloutStage, serving: str, tmp_path: Path
) -> None:
    del serving
    record_answers(stage)
    stage.configure(WAIT_S="1")
    control_arn, control = stage.register(GOOD)
    stage.review(control_arn, "Approved")
    stage.wait_for(control_arn, "Deployed")
    before = stage.endpoint()["EndpointConfigName"]
    stage.configure(WAIT_S="12")
    arn, treatment = stage.register(UNWANTED)
    stage.review(arn, "Approved")
    eventually(
        lambda: stage.answer("u0")["model_version"] == treatment, stage.patience_s, "the canary answers"
    )
    clicks = tmp_path / "clicks.csv"
    with clicks.open("w") as file:
        file.write("user_id,item_id,time\n")
        for user in (f"visitor{number}" for number in range(160)):
            time.sleep(PAUSE_S)
            if "0" in stage.recommended(user):  # what the control recommends
                file.write(f"{user},0,{time.time() + 1}\n")
    options = VariantOptions(clicks, None, None, "", (control, treatment), 30, reject_if_worse=True)
    found = run(options, Console(quiet=True), lambda: stage.stage)
    assert found.verdict == "worse", found
    assert found.control.n_hits > found.treatment.n_hits == 0
    eventually(
        lambda: (
            stage.endpoint()["EndpointConfigName"] == before
            and stage.endpoint()["EndpointStatus"] == "InService"
        ),
        stage.patience_s,
        "the control serves",
    )
    package = stage.sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "Rejected"
    assert "Worse on live traffic" in package["ApprovalDescription"]
