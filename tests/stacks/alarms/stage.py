"""Deployed stage whose alarms are raised: resources, inbox of the alarm topic, and CloudWatch's time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from emulator.app import PROVIDERS, Emulator
from emulator.delivery import Backoff, RetryPolicy
from emulator.services.cloudwatch.provider import CloudWatchProvider
from emulator.services.lambda_.provider import LambdaProvider
from emulator.services.sagemaker.provider import SageMakerProvider
from local.deploy.engine import Deployment, deploy
from tests.emulator.support import document, make_queue
from tests.repository import ROOT
from tests.stacks.program import stage_file

REGION = "ap-northeast-2"
AT_ONCE = Backoff(first_s=0.01, longest_s=0.02)
RETRIES_AT_ONCE = RetryPolicy(max_retries=2, max_age_s=21_600, backoff=AT_ONCE, throttling=AT_ONCE)
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
HOURS_S = 3 * 3600  # longer than the periods of all alarms together


class StageUnderTest:
    """A stage in the emulator.

    Attributes:
        received: notifications of the alarm topic so far, subjects only.
    """

    def __init__(self, emulator: Emulator, deployment: Deployment) -> None:
        self.emulator = emulator
        self.outputs = deployment.outputs
        self.received: list[str] = []
        self._resources = {(each.type, each.name): each.outputs for each in deployment.resources}
        topic = str(self.outputs["alarm_topic_arn"])
        self._inbox, queue_arn = make_queue(emulator, "inbox")
        emulator.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)

    def client(self, service: str) -> Any:
        return self.emulator.client(service)

    def resource(self, kind: str, name: str) -> Mapping[str, Any]:
        """Outputs of a resource, by its type token and logical name."""
        return self._resources[kind, name]

    # -- alarms ---------------------------------------------------------------------------------
    def alarm(self, name: str) -> str:
        """Name of an alarm in CloudWatch."""
        return str(self.resource(ALARM, name)["name"])

    def state(self, name: str) -> str:
        """State of an alarm, evaluated now."""
        (found,) = self.client("cloudwatch").describe_alarms(AlarmNames=[self.alarm(name)])["MetricAlarms"]
        return str(found["StateValue"])

    def notifications(self) -> list[str]:
        """Subjects of all notifications until now."""
        self.received += [json.loads(body).get("Subject", "") for body in self._drain(self._inbox)]
        return self.received

    def _drain(self, url: str) -> Iterator[str]:
        """Delete the messages of a queue; yields their bodies."""
        sqs = self.client("sqs")
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield message["Body"]

    def advance(self, seconds: float) -> None:
        """Set CloudWatch's time ahead, to the start of a minute."""
        metrics = self.emulator.host.metrics
        metrics.advance(seconds + 60 - (metrics.now() + seconds) % 60)

    def set_ok(self, name: str) -> None:
        """End an alarm, as a person does; the next evaluation decides again."""
        self.client("cloudwatch").set_alarm_state(
            AlarmName=self.alarm(name), StateValue="OK", StateReason="test"
        )
        self.advance(60)

    def forget(self) -> None:
        """Empty the dead-letter queues and let the periods of the alarms pass."""
        for name, url in self.outputs.items():
            if name.endswith("_dead_letter_queue_url"):
                list(self._drain(url))
        self.advance(HOURS_S)

    # -- faults ---------------------------------------------------------------------------------
    @contextmanager
    def without_permission(self, role: str, action: str) -> Iterator[None]:
        """Take an action from a role, named logically, during the block."""
        iam, name = self.client("iam"), str(self.resource("aws:iam/role:Role", role)["name"])
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        kept = [each for each in before["Statement"] if action not in each["Action"]]
        assert len(kept) == len(before["Statement"]) - 1, f"{role} has no {action}"
        put = {"RoleName": name, "PolicyName": policy}
        iam.put_role_policy(**put, PolicyDocument=document(*kept))
        try:
            yield
        finally:
            iam.put_role_policy(**put, PolicyDocument=json.dumps(before))


@contextmanager
def deployed_stage(folder: Path) -> Iterator[StageUnderTest]:
    """Deploy the dev stage with batch recommendations, so that it has the alarms of all stages."""
    providers = {
        **PROVIDERS,
        "cloudwatch": lambda wiring: CloudWatchProvider(wiring.host, wiring.emit, interval_s=3600),
        "lambda": lambda wiring: LambdaProvider(wiring.host, wiring.forward, RETRIES_AT_ONCE),
        "sagemaker": lambda wiring: SageMakerProvider(
            wiring.host, wiring.forward, wiring.emit, max_baking_s=0
        ),
    }
    config = stage_file("dev")
    config["ncf:batch_recommendations"]["enabled"] = True
    with (
        tempfile.TemporaryDirectory() as root,
        Emulator(region=REGION, root=folder, providers=providers).start() as emulator,
    ):
        for name in ("Pulumi.yaml", "__main__.py"):
            (Path(root) / name).write_text((ROOT / name).read_text())
        (Path(root) / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))
        stage = StageUnderTest(emulator, deploy("dev", root=Path(root), emulator=emulator))
        stage.forget()
        yield stage
