"""A linear rollout moves the traffic in equal steps, and returns from any of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ml import contract
from tests.e2e.platform import Inbox
from tests.polling import eventually
from tests.rollouts.models import BAD, GOOD
from tests.rollouts.stage import ENDPOINT, RolloutStage

N_INSTANCES = 4
POLL_S = 0.2


@pytest.fixture(scope="module", autouse=True)
def linear_steps(stage: RolloutStage, serving: str) -> Iterator[None]:
    """A quarter of four instances per step."""
    del serving
    _scale(stage, N_INSTANCES)
    stage.configure(ROLLOUT="linear", STEP_PERCENT="25")
    yield
    stage.configure(ROLLOUT="canary", STEP_PERCENT="50")
    _scale(stage, 2)


def _scale(stage: RolloutStage, n_instances: int) -> None:
    capacity = {"VariantName": contract.VARIANT_NAME, "DesiredInstanceCount": n_instances}
    stage.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[capacity]
    )
    stage.wait_for_status("InService")


@contextmanager
def steps_of(stage: RolloutStage) -> Iterator[list[int]]:
    """The numbers of new instances with traffic, in their order, from the first one."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(POLL_S):
            for variant in stage.endpoint().get("PendingDeploymentSummary", {}).get("ProductionVariants", ()):
                count = variant["CurrentInstanceCount"]
                if count and seen[-1:] != [count]:
                    seen.append(count)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_good_model_takes_the_traffic_in_four_steps(stage: RolloutStage) -> None:
    stage.configure(WAIT_S="1")
    arn, run_id = stage.register(GOOD)
    with stage.clients("u0") as clients, steps_of(stage) as steps:
        stage.review(arn, "Approved")
        stage.wait_for(arn, "Deployed")
        eventually(lambda: clients.answers[200, "ncf", run_id] > 0, what="the new model answers")
    assert steps == [1, 2, 3, 4]
    assert clients.failures == []
    variant = stage.endpoint()["ProductionVariants"][0]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (N_INSTANCES, N_INSTANCES)


def test_bad_model_is_rolled_back_before_it_has_all_the_traffic(stage: RolloutStage, inbox: Inbox) -> None:
    before = stage.endpoint()["EndpointConfigName"]
    stage.configure(WAIT_S="10")
    stage.close_circuit()
    arn, run_id = stage.register(BAD["empty lists"])
    with stage.clients("u0") as clients, steps_of(stage) as steps:
        stage.review(arn, "Approved")
        stage.wait_for(arn, "RolledBack")
    assert steps[:1] == [1]
    assert N_INSTANCES not in steps
    assert clients.failures == []
    endpoint = stage.endpoint()
    assert (endpoint["EndpointConfigName"], endpoint["EndpointStatus"]) == (before, "InService")
    subject = f"NCF dev: rollout of run {run_id} rolled back"
    assert subject in {each.get("Subject") for each in inbox.received()}
