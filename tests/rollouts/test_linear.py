"""A linear rollout moves the traffic in equal steps, and returns from any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ml import contract
from tests.e2e.platform import Inbox
from tests.polling import eventually
from tests.rollouts.models import BAD, GOOD
from tests.rollouts.stage import ENDPOINT, RolloutStage

LOGGER = "emulator.services.sagemaker.endpoints"
N_INSTANCES = 4


@pytest.fixture(scope="module", autouse=True)
def linear_steps(stage: RolloutStage, serving: str) -> Iterator[None]:
    """A quarter of four instances per step."""
    del serving
    _scale(stage, N_INSTANCES)
    stage.configure(ROLLOUT="linear", STEP_PERCENT="25")
    stage.wait_until_idle()  # an earlier invocation would roll out the next package as a canary
    yield
    stage.configure(ROLLOUT="canary", STEP_PERCENT="50")
    stage.wait_until_idle()
    _scale(stage, 2)


def _scale(stage: RolloutStage, n_instances: int) -> None:
    capacity = {"VariantName": contract.VARIANT_NAME, "DesiredInstanceCount": n_instances}
    stage.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[capacity]
    )
    stage.wait_for_status("InService")


@pytest.fixture
def steps(caplog: pytest.LogCaptureFixture) -> Callable[[], list[float]]:
    """Percentages of the traffic that new fleets got, one after another, from the emulator's log."""
    caplog.set_level("INFO", logger=LOGGER)

    def percentages() -> list[float]:
        return [record.args[1] for record in caplog.records if record.name == LOGGER]  # type: ignore[index, misc]

    return percentages


def test_good_model_takes_the_traffic_in_four_steps(
    stage: RolloutStage, steps: Callable[[], list[float]]
) -> None:
    stage.configure(WAIT_S="1")
    arn, run_id = stage.register(GOOD)
    with stage.clients("u0") as clients:
        stage.review(arn, "Approved")
        stage.wait_for(arn, "Deployed")
        eventually(lambda: clients.answers[200, "ncf", run_id] > 0, what="the new model answers")
    assert steps() == [25, 50, 75, 100]
    assert clients.failures == []
    variant = stage.endpoint()["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (N_INSTANCES, N_INSTANCES)


def test_bad_model_is_rolled_back_before_it_has_all_the_traffic(
    stage: RolloutStage, inbox: Inbox, steps: Callable[[], list[float]]
) -> None:
    before = stage.endpoint()["EndpointConfigName"]
    stage.configure(WAIT_S="10")
    stage.close_circuit()
    arn, run_id = stage.register(BAD["empty lists"])
    with stage.clients("u0") as clients:
        stage.review(arn, "Approved")
        stage.wait_for(arn, "RolledBack")
    assert steps()[:1] == [25]
    assert 100 not in steps()
    assert clients.failures == []
    endpoint = stage.endpoint()
    assert (endpoint["EndpointConfigName"], endpoint["EndpointStatus"]) == (before, "InService")
    subject = f"NCF dev: rollout of run {run_id} rolled back"
    assert subject in {each.get("Subject") for each in inbox.received()}
