"""Fixtures: one stage that all tests of rollouts share, with a good model in service.

Of the package, not of the session: a process can start another emulator after them.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.platform import Inbox
from tests.rollouts.models import GOOD
from tests.rollouts.stage import RolloutStage, rollout_stage


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutStage]:
    with rollout_stage(tmp_path_factory.mktemp("rollouts")) as found:
        found.configure(ROLLOUT="canary", STEP_PERCENT="50", WAIT_S="1")
        yield found


@pytest.fixture(scope="package")
def inbox(stage: RolloutStage) -> Inbox:
    return Inbox(stage.stage)


@pytest.fixture(scope="package")
def serving(stage: RolloutStage) -> str:
    """Run id of the good model that serves before the tests."""
    arn, run_id = stage.register(GOOD)
    stage.review(arn, "Approved")
    stage.wait_for(arn, "Deployed")
    return run_id
