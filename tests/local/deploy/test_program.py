"""Pulumi programs: URNs, order of creation, errors, isolation and secrets."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pulumi
import pytest
from pulumi.runtime import settings

from local.deploy import program, values
from local.deploy.errors import ProgramError, ProjectError
from local.deploy.monitor import Created, Monitor, Registration, refuse_unknown
from local.deploy.project import load_stage
from tests.local.deploy.conftest import MakeProject

COMPONENT = """
    class Part(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("tiny:x:Part", name, None, opts)
            self.child = pulumi.ResourceOptions(parent=self)
"""


def record(registration: Registration) -> Created:
    return Created(id=f"{registration.name}-id", outputs={"arn": f"arn:{registration.name}"})


@pytest.fixture
def run(make_project: MakeProject) -> Any:
    def run(source: str, create: Any = record, **config: object) -> Monitor:
        stage = load_stage("dev", make_project(source, **config))
        monitor = Monitor(project=stage.project, stack=stage.name, create=create)
        program.run(stage, monitor)
        return monitor

    return run


def test_urns_have_the_format_of_the_engine(run: Any) -> None:
    monitor = run(
        COMPONENT
        + """
    outer = Part("outer")
    inner = Part("inner", outer.child)
    aws.sns.Topic("topic", opts=inner.child)
    aws.sns.Topic("free")
    """
    )

    assert set(monitor.registrations) == {
        "urn:pulumi:dev::tiny::pulumi:pulumi:Stack::tiny-dev",
        "urn:pulumi:dev::tiny::tiny:x:Part::outer",
        "urn:pulumi:dev::tiny::tiny:x:Part$tiny:x:Part::inner",
        "urn:pulumi:dev::tiny::tiny:x:Part$tiny:x:Part$aws:sns/topic:Topic::topic",
        "urn:pulumi:dev::tiny::aws:sns/topic:Topic::free",
    }


def test_duplicate_urn_is_refused(run: Any) -> None:
    with pytest.raises(ProgramError, match=r"Topic::a: two resources have this URN"):
        run('aws.sns.Topic("a")\naws.sns.Topic("a")')


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("aws.get_caller_identity()", "looks up aws:index/getCallerIdentity"),
        ("pulumi.export('x', aws.get_region_output().name)", "looks up aws:index/getRegion"),
        ("aws.sns.Topic.get('t', 'arn:x')", "reads an existing resource"),
    ],
)
def test_look_up_is_refused(run: Any, source: str, what: str) -> None:
    with pytest.raises(ProgramError, match=what):
        run(source)


def test_stack_output_that_was_not_computed_is_refused(run: Any) -> None:
    monitor = run('pulumi.export("owner", aws.sns.Topic("t").owner)')

    with pytest.raises(ProgramError, match="the stack output owner depends on a value that was not computed"):
        monitor.stack_outputs()


def test_output_that_never_resolves_ends_with_the_timeout(make_project: MakeProject) -> None:
    def main() -> None:
        pulumi.export("never", pulumi.Output.from_input(asyncio.get_running_loop().create_future()))

    stage = load_stage("dev", make_project(""))
    monitor = Monitor(project=stage.project, stack=stage.name, create=record)

    with pytest.raises(TimeoutError):
        program.execute(main, stage, monitor, timeout_s=0.2)


def test_resource_is_created_after_its_dependencies(run: Any) -> None:
    order: list[str] = []

    def create(registration: Registration) -> Created:
        order.append(registration.name)
        return record(registration)

    run('b = aws.sns.Topic("b")\naws.sns.TopicPolicy("a", arn=b.arn, policy="{}")', create)

    assert order == ["b", "a"]


def test_output_that_was_not_computed_is_refused_as_input(run: Any) -> None:
    def create(registration: Registration) -> Created:
        refuse_unknown(registration, values.decode(registration.properties))
        return record(registration)

    with pytest.raises(ProgramError, match=r"TopicPolicy p: input policy depends on.*aws:sns/topic:Topic::t"):
        run('t = aws.sns.Topic("t")\naws.sns.TopicPolicy("p", arn=t.arn, policy=t.owner)', create)


def test_config_error_of_the_program_is_one_line(run: Any) -> None:
    with pytest.raises(ProjectError, match=r"^tiny:size is missing$"):
        run('raise pulumi.RunError("tiny:size is missing")')


def test_exception_of_the_program_is_one_line_with_its_location(run: Any) -> None:
    with pytest.raises(ProgramError, match=r"__main__\.py:5: ValueError: too wide"):
        run('\nraise ValueError("too wide")')


def test_exception_in_apply_ends_the_run(run: Any) -> None:
    with pytest.raises(ProgramError, match="ZeroDivisionError"):
        run('aws.sns.Topic("t").arn.apply(lambda _: 1 / 0)')


def test_first_error_is_reported(run: Any) -> None:
    def create(registration: Registration) -> Created:
        if registration.name == "bad":
            raise ProgramError("bad broke")
        return record(registration)

    source = """
    bad = aws.sns.Topic("bad")
    aws.sns.TopicPolicy("after", arn=bad.arn, policy="{}")
    """
    with pytest.raises(ProgramError, match="bad broke"):
        run(source, create)


def test_programs_in_one_process_are_isolated(run: Any) -> None:
    source = 'pulumi.export("n", pulumi.Config().require("n"))'

    exports = [values.decode(run(source, **{"tiny:n": n}).exports) for n in ("one", "two")]

    assert exports == [{"n": "one"}, {"n": "two"}]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_program_runs_while_another_stack_is_active(run: Any) -> None:
    """For example in a process that also uses Pulumi's mocks."""

    def run_in_context() -> Monitor:
        settings.ROOT.set("another stack")  # type: ignore[arg-type]  # any root will do
        return run('aws.sns.Topic("t")')

    monitor = contextvars.copy_context().run(run_in_context)

    assert "urn:pulumi:dev::tiny::aws:sns/topic:Topic::t" in monitor.registrations


def test_output_is_secret_by_its_input_or_by_an_option(run: Any) -> None:
    def create(registration: Registration) -> Created:
        return Created(id="t", outputs={"arn": "arn:t", "displayName": "hush", "owner": "me"})

    monitor = run(
        """
    topic = aws.sns.Topic("t", display_name=pulumi.Output.secret("hush"),
                          opts=pulumi.ResourceOptions(additional_secret_outputs=["owner"]))
    for name in ("display_name", "owner", "arn"):
        pulumi.export(name, getattr(topic, name))
    """,
        create,
    )

    assert values.secret_keys(monitor.exports) == {"display_name", "owner"}
