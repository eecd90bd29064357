"""The quality gate and `deploy_model` select the current model package by the same rule."""

from __future__ import annotations

from types import ModuleType

import pytest

from ml.ncf.evaluation import champion
from tests.lambdas.functions import load

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/NCF/{}"
APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"

# Per case: (approval, metadata "deployment") of the versions 1, 2, …; the current version.
CASES = {
    "no package": ([], None),
    "newest approved": ([(APPROVED, "Deployed"), (APPROVED, None)], 2),
    "pending is not current": ([(APPROVED, "Deployed"), (PENDING, None)], 1),
    "rejected is not current": ([(APPROVED, "Deployed"), (REJECTED, "Deployed")], 1),
    "rolled back is not current": ([(APPROVED, "Deployed"), (APPROVED, "RolledBack")], 1),
    "requested is current": ([(APPROVED, "Deployed"), (APPROVED, "Requested")], 2),
    "waiting is current": ([(APPROVED, "Deployed"), (APPROVED, "Waiting")], 2),
    "all rolled back": ([(APPROVED, "RolledBack"), (APPROVED, "RolledBack")], None),
    "versions are numbers": ([(APPROVED, "Deployed")] * 10, 10),
}


@pytest.fixture
def deploy_logic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the Lambda function, which is not a package of this repository."""
    return load("deploy_model", "logic", monkeypatch)


def metadata(deployment: str | None) -> dict[str, str]:
    return {} if deployment is None else {"deployment": deployment}


@pytest.mark.parametrize("name", CASES)
def test_gate_selects_the_current_package(name: str) -> None:
    packages, expected = CASES[name]
    newest_first = [
        champion.ModelPackage(ARN.format(version), approval, metadata(deployment))
        for version, (approval, deployment) in reversed(list(enumerate(packages, start=1)))
    ]
    current = champion.current_package(newest_first)
    assert (current and current.version) == expected


@pytest.mark.parametrize("name", CASES)
def test_deploy_model_selects_the_current_package(name: str, deploy_logic: ModuleType) -> None:
    packages, expected = CASES[name]
    current = deploy_logic.desired_package(
        deploy_logic.Package(ARN.format(version), version, approval, metadata(deployment))
        for version, (approval, deployment) in enumerate(packages, start=1)
    )
    assert (current and current.version) == expected
