"""Deployment engine: unused inputs, errors of creators, default tags, secrets, progress and names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from local.deploy import engine
from local.deploy.context import Context
from local.deploy.errors import CreateError, UnusedInputError
from local.deploy.inputs import Inputs
from tests.local.deploy.conftest import DeploySource, MakeProject
from tests.local.projects import REGION, TAGS

TOPIC = "aws:sns/topic:Topic"
QUEUE = "aws:sqs/queue:Queue"
Creator = Callable[[Context, str, Inputs], tuple[str, dict[str, Any]]]
Deploy = Callable[..., engine.Deployment]


def use_all(_context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    seen = {key: inputs.plain(key) for key in ("displayName", "tags") if key in inputs}
    return f"{name}-id", {"arn": f"arn:{name}", "name": name, **seen}


@pytest.fixture
def deploy(make_project: MakeProject, tmp_path: Path) -> Deploy:
    """Function that deploys with the given creators; they do not call the emulator, which is not started."""

    def deploy(source: str, creators: dict[str, Creator], **options: Any) -> engine.Deployment:
        emulator = Emulator(root=tmp_path)
        root = make_project(source)
        return engine.deploy("dev", root=root, emulator=emulator, creators=creators, **options)

    return deploy


def test_type_without_creator_is_refused(deploy: Deploy) -> None:
    with pytest.raises(CreateError, match=rf"{TOPIC} news: the emulator has no such resource type"):
        deploy('aws.sns.Topic("news")', {})


def test_input_that_the_creator_does_not_read_is_refused(deploy: Deploy) -> None:
    with pytest.raises(UnusedInputError, match=rf"{TOPIC} news: .*does not honour the input fifoTopic"):
        deploy('aws.sns.Topic("news", fifo_topic=True)', {TOPIC: use_all})


def test_input_that_the_service_drops_is_refused(deploy: Deploy) -> None:
    def dropping(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        inputs.compare({"DisplayName": inputs.get("displayName")}, {})
        return use_all(context, name, inputs)

    with pytest.raises(UnusedInputError, match="does not honour the input displayName"):
        deploy('aws.sns.Topic("news", display_name="News")', {TOPIC: dropping})


def test_input_declared_as_not_emulated_is_accepted_and_listed(
    deploy: Deploy,
) -> None:
    declared = {(TOPIC, "fifoTopic")}

    deployment = deploy('aws.sns.Topic("news", fifo_topic=True)', {TOPIC: use_all}, not_emulated=declared)

    assert deployment.not_emulated == declared


def failing(error: Exception) -> Creator:
    def create(_context: Context, _name: str, _inputs: Inputs) -> tuple[str, dict[str, Any]]:
        raise error

    return create


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ClientError({"Error": {"Code": "Denied", "Message": "no"}}, "CreateTopic"),
            "CreateTopic: Denied: no",
        ),
        (CreateError("the name is too long"), "the name is too long"),
        (KeyError("TopicArn"), "KeyError: 'TopicArn'"),
        (FileNotFoundError(2, "No such file", "x.zip"), "FileNotFoundError: .*'x.zip'"),
        (ValueError("two\n  lines"), "ValueError: two lines"),
    ],
    ids=["service", "creator", "bug", "file", "lines"],
)
def test_creator_error_is_one_line_with_the_resource(deploy: Deploy, error: Exception, line: str) -> None:
    with pytest.raises(CreateError, match=rf"{TOPIC} news: {line}$") as caught:
        deploy('aws.sns.Topic("news")', {TOPIC: failing(error)})
    assert "\n" not in caught.value.reason


def test_default_tags_are_merged_and_resource_tags_win(deploy: Deploy) -> None:
    deployment = deploy(
        'a = aws.sns.Topic("a", tags={"Owner": "me", "x": "1"})\npulumi.export("all", a.tags_all)',
        {TOPIC: use_all},
    )

    expected = TAGS | {"Owner": "me", "x": "1"}
    assert deployment.resources[0].outputs["tags"] == expected
    assert deployment.outputs["all"] == expected


def test_type_without_tags_gets_none(deploy: Deploy) -> None:
    seen: list[bool] = []

    def policy(_context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        seen.append("tags" in inputs)
        inputs.pick({"arn": "a", "policy": "p"})
        return "id", {}

    deploy('aws.sns.TopicPolicy("p", arn="a", policy="{}")', {"aws:sns/topicPolicy:TopicPolicy": policy})

    assert seen == [False]


def test_resource_of_another_region_is_refused(deploy: Deploy) -> None:
    with pytest.raises(CreateError, match=r"region eu-west-1 is not the stage's"):
        deploy('aws.sns.Topic("a", region="eu-west-1")', {TOPIC: use_all})


def test_secret_outputs_are_masked_for_display(deploy: Deploy) -> None:
    deployment = deploy(
        'pulumi.export("b", pulumi.Output.secret("hush"))\npulumi.export("a", "open")', {TOPIC: use_all}
    )

    assert deployment.outputs == {"a": "open", "b": "hush"}
    assert deployment.shown() == {"a": "open", "b": "[secret]"}
    assert list(deployment.shown()) == ["a", "b"], "in a fixed order"


def test_progress_counts_created_resources(deploy: Deploy) -> None:
    progress: list[tuple[str, str, int]] = []

    deploy(
        'aws.sns.Topic("a")\naws.sns.Topic("b")',
        {TOPIC: use_all},
        on_progress=lambda type_, name, n_done: progress.append((type_, name, n_done)),
    )

    assert [n_done for _, _, n_done in progress] == [1, 2]
    assert {(type_, name) for type_, name, _ in progress} == {(TOPIC, "a"), (TOPIC, "b")}


def test_dependents_of_a_failed_resource_are_not_created(deploy: Deploy) -> None:
    created: list[str] = []

    def queue(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
        created.append(name)
        return use_all(context, name, inputs)

    with pytest.raises(CreateError, match=f"{TOPIC} bad"):
        deploy(
            'bad = aws.sns.Topic("bad")\naws.sqs.Queue("after", opts=pulumi.ResourceOptions(depends_on=bad))',
            {TOPIC: failing(ValueError("x")), QUEUE: queue},
        )
    assert created == []


def test_unnamed_resources_get_generated_names(deploy_source: DeploySource, emulator: Emulator) -> None:
    deployment = deploy_source(
        """
    given = aws.sns.Topic("a", name="given")
    prefixed = aws.sns.Topic("b", name_prefix="pre-")
    automatic = aws.sns.Topic("c")
    for name, topic in {"given": given, "prefixed": prefixed, "automatic": automatic}.items():
        pulumi.export(name, topic.name)
    """
    )

    assert deployment.outputs["given"] == "given"
    assert deployment.outputs["prefixed"].startswith("pre-")
    assert deployment.outputs["automatic"].startswith("c-")
    arns = {topic["TopicArn"] for topic in emulator.client("sns").list_topics()["Topics"]}
    assert {arn.rpartition(":")[2] for arn in arns} == set(deployment.outputs.values())
    assert all(f":{REGION}:" in arn for arn in arns)


def test_name_longer_than_the_services_limit_is_refused(deploy_source: DeploySource) -> None:
    with pytest.raises(
        CreateError, match=r"role:Role r{60}: the name r{60}-.* has 68 characters, more than 64"
    ):
        deploy_source('aws.iam.Role("r" * 60, assume_role_policy="{}")')
