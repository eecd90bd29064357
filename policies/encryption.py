"""Rules on encryption at rest and in transit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from policies.model import Broken, Resource, Rule, Stage, attached, is_set, of, statements, without

# Class to the input with the key that encrypts its data.
KEYS = {
    "BucketObjectv2": "kmsKeyId",
    "EndpointConfiguration": "kmsKeyArn",
    "Function": "kmsKeyArn",
    "LogGroup": "kmsKeyId",
    "Project": "encryptionKey",
    "Topic": "kmsMasterKeyId",
}
# Class of resource policies to the class and input of what they protect.
TLS_POLICIES = {"Bucket": ("BucketPolicy", "bucket"), "Queue": ("QueuePolicy", "queueUrl")}


def _stored_data(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in of(resources, *KEYS):
        key = KEYS[resource.type.rpartition(":")[2]]
        if not is_set(resource, key):
            yield resource, f"set {key} to the stage's KMS key"


def _bucket(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for bucket in of(resources, "Bucket"):
        found = attached(resources, "BucketServerSideEncryptionConfiguration", "bucket", bucket)
        algorithms = {
            rule.get("applyServerSideEncryptionByDefault", {}).get("sseAlgorithm")
            for each in found
            for rule in each.inputs.get("rules", [])
        }
        if algorithms != {"aws:kms"}:
            yield bucket, "add a BucketServerSideEncryptionConfiguration with aws:kms"


def _queue(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for queue in of(resources, "Queue"):
        if not queue.inputs.get("sqsManagedSseEnabled") and not queue.inputs.get("kmsMasterKeyId"):
            yield queue, "set sqsManagedSseEnabled or kmsMasterKeyId"


def _cluster(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in _clusters_without(resources, "EnableAtRestEncryption"):
        yield resource, "EnableAtRestEncryption is false: nodes of EMR store data of users"


def _cluster_transit(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for resource in _clusters_without(resources, "EnableInTransitEncryption"):
        yield resource, "EnableInTransitEncryption is false: set ncf:spark.certificates_uri"


def _clusters_without(resources: Sequence[Resource], switch: str) -> Iterator[Resource]:
    """Security configurations of EMR in which an encryption is off."""
    for resource in of(resources, "SecurityConfiguration"):
        document = resource.inputs.get("configuration")
        if not isinstance(document, str):  # not known yet
            continue
        if not json.loads(document).get("EncryptionConfiguration", {}).get(switch):
            yield resource


def _rotation(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for key in of(resources, "Key"):
        if not key.inputs.get("enableKeyRotation"):
            yield key, "set enableKeyRotation"


def _tls(resources: Sequence[Resource], _: Stage) -> Iterator[Broken]:
    for class_name, (policy_class, key) in TLS_POLICIES.items():
        for resource in without(resources, class_name, policy_class, key, _denies_plain_text):
            yield resource, f"add a {policy_class} that denies requests without aws:SecureTransport"


def _denies_plain_text(policy: Resource) -> bool:
    document = policy.inputs.get("policy")
    if not isinstance(document, str):  # not known yet: `pulumi preview` of a new stage
        return True
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in statements(document)
    )


RULES = (
    Rule(
        name="stored-data-encrypted",
        description="Stored data is encrypted with a KMS key of the stage.",
        check=_stored_data,
    ),
    Rule(name="bucket-encrypted", description="Every bucket encrypts with KMS by default.", check=_bucket),
    Rule(name="queue-encrypted", description="Every queue is encrypted.", check=_queue),
    Rule(name="cluster-encrypted-at-rest", description="EMR encrypts S3 and local disks.", check=_cluster),
    Rule(
        name="cluster-encrypted-in-transit",
        description="EMR encrypts the traffic between nodes.",
        check=_cluster_transit,
    ),
    Rule(name="key-rotates", description="KMS keys rotate every year.", check=_rotation),
    Rule(name="tls-only", description="Buckets and queues refuse requests without TLS.", check=_tls),
)
