"""Losses by the replacement or deletion of a resource: data, name, and the time without it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from local.preview import PreviewedResource
from local.review.difference import Change, Kind

SUBNET = "aws:ec2/subnet:Subnet"
NAMES = ("name", "bucket", "modelPackageGroupName", "dashboardName")  # inputs with a physical name
# Types for which `bucket` and the like name another resource.
UNNAMED = {"aws:iam/rolePolicy:RolePolicy"}

# Data, state or reach that the new resource does not have. AWS user guides of the services.
DATA: dict[str, str] = {
    "aws:apigatewayv2/api:Api": "its URL: every client needs the new one",
    "aws:cloudwatch/logGroup:LogGroup": "its log events",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "its history; it starts without a state",
    "aws:ec2/subnet:Subnet": "its id; deletion fails while a cluster runs in it",
    "aws:ec2/vpc:Vpc": "its id, and all that is in it; deletion fails while a cluster runs in it",
    "aws:kms/key:Key": "everything encrypted with it, which nobody can read after the deletion window",
    "aws:s3/bucket:Bucket": "its objects with all versions; deletion fails while it has any",
    "aws:s3/bucketObjectv2:BucketObjectv2": "the object, until the next upload",
    "aws:sagemaker/endpoint:Endpoint": "the recommendations, until the new endpoint is in service (minutes)",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "its packages; deletion fails while it has any",
    "aws:sns/topic:Topic": "its subscriptions, which recipients have to confirm again",
    "aws:sns/topicSubscription:TopicSubscription": "the confirmation of its recipient",
    "aws:sqs/queue:Queue": "its messages: events that were not handled",
    "aws:scheduler/schedule:Schedule": "the runs of the time without it",
    "aws:cloudwatch/eventRule:EventRule": "the events of the time without it, which are not handled",
}


def fixed_name(resource: PreviewedResource) -> str | None:
    """Physical name that the program gives to a resource; None for a generated one."""
    keys = (
        NAMES if resource.type == "aws:s3/bucket:Bucket" else tuple(key for key in NAMES if key != "bucket")
    )
    found = (resource.inputs.get(key) for key in keys)
    return next((name for name in found if isinstance(name, str) and resource.type not in UNNAMED), None)


def losses(change: Change) -> Iterator[str]:
    """Sentences on what a replacement or deletion loses; none for other changes."""
    if change.kind not in (Kind.REPLACED, Kind.DELETED):
        return
    resource = change.resource
    if resource.type in DATA:
        yield f"lost: {DATA[resource.type]}"
    if change.kind is Kind.REPLACED:
        yield from _order(change)


def _order(change: Change) -> Iterator[str]:
    """Whether the new resource exists before the old one is deleted, and under which name."""
    after = change.after or change.resource
    name = fixed_name(after)
    if change.renamed:
        yield "Pulumi creates the new one and deletes the old one: an alias on the new name keeps it"
        if name is not None and name == fixed_name(change.resource):
            yield f"creation fails: the name {name} is still taken by the old one"
    elif after.delete_before_replace or name is not None:
        # Pulumi docs, "deleteBeforeReplace": resources with a name of the program cannot exist twice.
        label = f"its name {name} is fixed" if name is not None else "the program says so"
        yield f"downtime: deleted first, then created, because {label}"
    elif _overlaps(change):
        block = after.inputs["cidrBlock"]
        yield f"creation fails: {block} overlaps the block of the old subnet, which is still there"
    else:
        yield "created first, then the old one is deleted; its generated name and its ARN change"


def _overlaps(change: Change) -> bool:
    """Whether a subnet's new address block overlaps its old one (EC2 API, CreateSubnet)."""
    blocks = [
        each.inputs["cidrBlock"] for each in (change.before, change.after) if each and each.type == SUBNET
    ]
    own = any(each.path == "cidrBlock" for each in change.inputs)
    return own and len(blocks) == 2 and ip_network(blocks[0]).overlaps(ip_network(blocks[1]))


def is_guarded(change: Change) -> bool:
    """Whether Pulumi refuses the change: the resource is protected in the deployed version."""
    before = change.before
    return before is not None and before.protect and change.kind in (Kind.REPLACED, Kind.DELETED)


def loses_protection(change: Change) -> bool:
    """Whether the change lifts the protection of a resource."""
    return any(each.path == "protect" and each.old is True for each in change.inputs)
