"""Hypothesis profile of all tests."""

from hypothesis import settings

# The duration of an example depends on the load of the machine; a deadline would make tests flaky.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
