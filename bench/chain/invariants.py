"""What must hold after every fault, once the chain has come to rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.chain.kinds import Injected
from bench.chain.short_stage import ROOT, ApiClient, ShortStage, metadata
from emulator.environment import make_client
from local.chain import DEPLOYED, DEPLOYMENT, ROLLED_BACK
from ml import contract

RUNBOOK = ROOT / "docs" / "runbook.md"
# Executions that use up a run: it must not have two of them.
CURRENT = ("Executing", "Succeeded")


class Inbox:
    """SQS queue that receives the stage's notifications, as a person does by e-mail."""

    def __init__(self, stage: ShortStage) -> None:
        deployed = stage.stage
        # In another region: the queue is none of the stage's.
        self._sqs = make_client("sqs", deployed.url, "us-east-1")
        self._url = self._sqs.create_queue(QueueName="inbox")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        arn, topic = attributes["Attributes"]["QueueArn"], deployed.outputs["alarm_topic_arn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        deployed.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def receive(self) -> list[str]:
        """The texts of the notifications since the last call."""
        texts = []
        while batch := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                body = json.loads(message["Body"])
                texts.append(f"{body.get('Subject', '')} {body['Message']}".strip().strip('"'))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return texts


def violations(
    stage: ShortStage, injected: Injected, client: ApiClient, notifications: list[str]
) -> list[str]:
    """The invariants that do not hold, a line each."""
    packages = stage.packages()
    return [
        *_api(client),
        *_one_execution_per_run(stage),
        *_champion_is_served(stage, packages),
        *_newest_is_served(injected, packages),
        *_every_event_has_an_outcome(stage),
        *_no_partial_run(stage),
        *_explained(stage, injected, notifications),
    ]


def _api(client: ApiClient) -> Iterator[str]:
    for failure in client.failures[:3]:
        yield f"the API did not answer with a list: {failure}"


def _one_execution_per_run(stage: ShortStage) -> Iterator[str]:
    current = Counter(
        each["PipelineExecutionDisplayName"]
        for each in stage.executions()
        if each["PipelineExecutionStatus"] in CURRENT
    )
    for name, count in current.items():
        if count > 1:
            yield f"{name} has {count} executions that succeeded or are in progress"


def _champion_is_served(stage: ShortStage, packages: list[dict[str, Any]]) -> Iterator[str]:
    endpoint = stage.endpoint()
    if endpoint["EndpointStatus"] != "InService":
        yield f"the endpoint is {endpoint['EndpointStatus']}: {endpoint.get('FailureReason', '')}"
    adopted = (
        package
        for package in packages
        if package["ModelApprovalStatus"] == "Approved" and metadata(package).get(DEPLOYMENT) != ROLLED_BACK
    )
    champion = next(adopted, None)
    if champion is None:
        yield "there is no champion"
    elif metadata(champion).get("endpoint_config") != endpoint["EndpointConfigName"]:
        yield (
            f"the endpoint serves {endpoint['EndpointConfigName']}, but the champion is version "
            f"{champion['ModelPackageVersion']}: {dict(metadata(champion))}"
        )
    elif metadata(champion).get(DEPLOYMENT) != DEPLOYED:
        yield f"the champion is served, but its deployment is {metadata(champion).get(DEPLOYMENT)!r}"


def _newest_is_served(injected: Injected, packages: list[dict[str, Any]]) -> Iterator[str]:
    if injected.is_served:
        run_id = metadata(packages[0]).get("run_id") if packages else None
        if run_id not in injected.run_ids:
            yield f"none of the runs {', '.join(injected.run_ids)} has the newest package, but {run_id}"


def _every_event_has_an_outcome(stage: ShortStage) -> Iterator[str]:
    for record in stage.deliveries.records:
        if record.outcome == "pending":
            yield f"{record.label} has no outcome"


def _no_partial_run(stage: ShortStage) -> Iterator[str]:
    s3, bucket = stage.stage.client("s3"), stage.stage.outputs["data_bucket"]
    for run_id, written in stage.buildspecs().items():
        key = contract.run_prefix(run_id) + contract.SUCCESS_FILE
        versions = s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions", [])
        if not versions or min(each["LastModified"] for each in versions) > written:
            yield f"run {run_id} was consumed before it was complete"


def _explained(stage: ShortStage, injected: Injected, notifications: list[str]) -> Iterator[str]:
    """Each failure has its notification, and the runbook has a section for each notification."""
    failed_builds = sum(_is_failed(build, injected) for build in stage.builds())
    failed = sum(
        each["PipelineExecutionStatus"] in ("Failed", "Stopped")
        and any(run_id in each["PipelineExecutionDisplayName"] for run_id in injected.run_ids)
        for each in stage.executions()
    )
    for what, count in (("Build", failed_builds), ("Pipeline execution", failed)):
        notified = sum(text.startswith(what) for text in notifications)
        if notified < count:
            yield f"{count} x {what} failed, but there are {notified} notifications"
    runbook = RUNBOOK.read_text(encoding="utf-8")
    headings = re.findall(r'^### "(.+?)"', runbook, re.MULTILINE)
    patterns = [".*".join(map(re.escape, heading.split("…"))) for heading in headings]
    of_alarms = re.findall(r"^### Alarm (.+)$", runbook, re.MULTILINE)
    patterns += [f'(ALARM|OK): "{name}' for line in of_alarms for name in re.findall("`(.+?)`", line)]
    for text in notifications:
        if not any(re.search(pattern, text) for pattern in patterns):
            yield f"the runbook has no section for the notification: {text[:200]}"


def _is_failed(build: dict[str, Any], injected: Injected) -> bool:
    run_id = next((each for each in injected.run_ids if each in build["source"].get("buildspec", "")), None)
    return run_id is not None and build["buildStatus"] not in ("SUCCEEDED", "IN_PROGRESS")
