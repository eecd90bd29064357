"""Rules on retention, protection, names and tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.model import Broken, Resource, Rule, Stage, attached, of, without

KEPT = ("Bucket", "Key", "ModelPackageGroup")  # hold what cannot be made again
TAGS = {"Owner", "Service", "Stage"}
DEAD_LETTER_RETENTION_S = 14 * 24 * 3600  # SQS's maximum
# Class to the input with its physical name. A replacement of a resource with a fixed name is a downtime.
NAMES = {
    "Alias": "name",
    "Bucket": "bucket",
    "Dashboard": "dashboardName",
    "Endpoint": "name",
    "EndpointConfiguration": "name",
    "EventRule": "name",
    "Function": "name",
    "LogGroup": "name",
    "MetricAlarm": "name",
    "Model": "name",
    "ModelPackageGroup": "modelPackageGroupName",
    "Project": "name",
    "Queue": "name",
    "Role": "name",
    "Schedule": "name",
    "SecurityGroup": "name",
    "Topic": "name",
}


def _log_retention(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for group in of(resources, "LogGroup"):
        if not group.inputs.get("retentionInDays"):
            yield group, "set retentionInDays: logs would be kept and billed without end"


def _versioned(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for bucket in without(resources, "Bucket", "BucketVersioning", "bucket", _is_enabled):
        yield bucket, "add a BucketVersioning with status Enabled"


def _is_enabled(versioning: Resource) -> bool:
    return versioning.inputs.get("versioningConfiguration", {}).get("status") == "Enabled"


def _lifecycle(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for bucket in of(resources, "Bucket"):
        found = attached(resources, "BucketLifecycleConfiguration", "bucket", bucket)
        rules = [
            rule for each in found for rule in each.inputs.get("rules", []) if rule.get("status") == "Enabled"
        ]
        for key, wanted in (
            ("noncurrentVersionExpiration", "expires old versions"),
            ("abortIncompleteMultipartUpload", "ends incomplete uploads"),
        ):
            if not any(key in rule and rule.get("filter", {}).get("prefix", "") == "" for rule in rules):
                yield bucket, f"add a lifecycle rule for the whole bucket that {wanted} ({key})"


def _dead_letters(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for queue in of(resources, "Queue"):
        if queue.inputs.get("messageRetentionSeconds", 0) < DEAD_LETTER_RETENTION_S:
            yield queue, f"set messageRetentionSeconds to {DEAD_LETTER_RETENTION_S}"


def _protected(resources: Sequence[Resource], stage: Stage) -> Iterator[Broken]:
    for resource in of(resources, *KEPT):
        if stage.protects_data and not resource.protect:
            yield resource, "set protect: the stage protects its data"


def _not_emptied(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for bucket in of(resources, "Bucket"):
        if bucket.inputs.get("forceDestroy"):
            yield bucket, "set forceDestroy to false: deletion would delete every object"


def _generated_name(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in of(resources, *NAMES):
        key = NAMES[resource.type.rpartition(":")[2]]
        if resource.inputs.get(key):
            yield resource, f"leave {key} to Pulumi: with a fixed name, a replacement is a downtime"


def _tags(resources: Sequence[Resource], stage: Stage) -> Iterator[Broken]:
    missing = TAGS - set(stage.tags)
    if missing:
        yield None, f"add {', '.join(sorted(missing))} to aws:defaultTags"
    if stage.tags.get("Stage", stage.name) != stage.name:
        yield None, f"aws:defaultTags has the Stage {stage.tags['Stage']}"
    for resource in resources:
        tags = resource.inputs.get("tags") or {}  # the engine's have the default tags, too
        overridden = {key for key in TAGS & set(tags) if tags[key] != stage.tags.get(key)}
        if overridden:
            yield resource, f"remove the tag {', '.join(sorted(overridden))}: the provider sets it"


RULES = (
    Rule(name="logs-expire", description="Log groups have a retention.", check=_log_retention),
    Rule(name="bucket-versioned", description="Every bucket is versioned.", check=_versioned),
    Rule(
        name="bucket-has-lifecycle",
        description="Every bucket expires old versions and incomplete uploads.",
        check=_lifecycle,
    ),
    Rule(
        name="dead-letters-kept",
        description="Dead-letter queues keep messages for 14 days.",
        check=_dead_letters,
    ),
    Rule(
        name="data-protected",
        description="A stage that protects data protects buckets, keys and package groups.",
        check=_protected,
    ),
    Rule(
        name="bucket-not-emptied",
        description="Deleting a bucket never deletes its objects.",
        check=_not_emptied,
    ),
    Rule(
        name="generated-names",
        description="Replaceable resources have generated names.",
        check=_generated_name,
    ),
    Rule(
        name="default-tags",
        description="The provider tags every resource with owner, service and stage.",
        check=_tags,
    ),
)
