"""Settings of all tests: threads, distribution and order of the test files, Hypothesis profile."""

from __future__ import annotations

import functools
import gc
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

# The workers share the machine with the training jobs, Spark and Lambda functions that they start. With one
# OpenMP thread each, no thread waits at a barrier for one that is not scheduled. Read by torch when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Nothing that the imports and the collection create becomes garbage: each search of it would only take time.
gc.disable()

# Files and groups of more than about ten seconds, in descending order of duration (`pytest --durations=0`).
# They run first, so that no worker starts a long one at the end.
SLOWEST_FILES = (
    "tests/e2e/up/test_api.py",
    "tests/e2e/up/test_first_run.py",
    "tests/e2e/up/test_later_runs.py",
    "tests/e2e/up/test_teardown.py",
    "tests/ml/preparation/test_hostile_files.py",
    "tests/ml/preparation/test_kill.py",
    "tests/rollouts/test_bad_models.py",
    "tests/rollouts/test_reviews.py",
    "tests/rollouts/test_linear.py",
    "tests/local/deploy/test_stages.py",
    "tests/ml/preparation/test_published_files.py",
    "tests/ml/preparation/read/test_previous_run.py",
    "tests/ml/preparation/split/test_rules.py",
    "tests/ml/preparation/test_job.py",
    "tests/ml/test_small_shops.py",
    "tests/ci/test_torch_installation.py",
    "tests/ml/preparation/test_command.py",
    "tests/local/test_preview.py",
    "tests/bench/test_preparation.py",
    "tests/ml/ncf/jobs/test_spot.py",
    "tests/bench/test_accuracy.py",
    "tests/bench/test_scale.py",
    "tests/local/review/test_command.py",
    "tests/e2e/test_processes.py",
    "tests/lambdas/test_render_buildspec.py",
    "tests/ci/test_teardown.py",
    "tests/e2e/test_bad_input.py",
    "tests/emulator/test_processes.py",
    "tests/emulator/services/emr/test_clusters.py",
    "tests/ml/pipeline/test_definition.py",
    "tests/ml/preparation/features/test_feature_store.py",
    "tests/ml/preparation/features/test_transforms.py",
)

# The duration of an example depends on the load of the machine; a deadline would make tests flaky.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


def file_of(node_id: str) -> str:
    """Path of a test's file, relative to the repository."""
    return node_id.partition("::")[0]


# Files of the second Spark session. With one for all files, its process would end long after the others.
IN_SECOND_SESSION = {
    "tests/ml/preparation/test_kill.py",  # waits for other processes most of the time
    "tests/ml/preparation/test_published_files.py",
    "tests/ml/preparation/read/test_layouts.py",
    "tests/ml/test_small_shops.py",
}


@functools.cache
def shared_by_process(file: str) -> str | None:
    """What a test file shares with others of its process, because it takes seconds; None for nothing."""
    if file.startswith("tests/e2e/up/"):
        return "the platform of make up"
    if file.startswith("tests/rollouts/"):
        return "the deployed stage of tests/rollouts"
    text = Path(__file__).parents[1].joinpath(file).read_text()
    if "spark: SparkSession" in text:
        return f"Spark session {2 if file in IN_SECOND_SESSION else 1}"
    if "from tests.stacks.program import" in text or "from tests.local.snapshots import" in text:
        return "the recorded resources of the stages"
    return None


class FileScheduling(LoadFileScheduling):
    """Gives each file to one worker, and files that share something to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return shared_by_process(file) or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Scheduler of ``--dist loadfile``."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: index for index, name in enumerate(SLOWEST_FILES)}
    items.sort(key=lambda item: place.get(file_of(item.nodeid), len(place)))


def pytest_collection_finish() -> None:
    """Exclude what was imported and collected from every later garbage collection, and collect less often.

    With the default threshold, a third of the CPU time of a Pulumi program is that of full collections.
    """
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()
