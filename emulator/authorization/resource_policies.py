"""Resource policies of moto's buckets, keys, functions, queues, topics and secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emulator import moto_state
from emulator.authorization import roles
from emulator.authorization.policies import Document, parse
from emulator.authorization.resources import Place
from emulator.wire import ServiceError

EMPTY: Document = {"Statement": []}


def resource_policy(arn: str) -> Document:
    """Policy of a resource; without statements if the resource or its policy does not exist."""
    parts = arn.split(":", 5)
    reader = READERS.get(parts[2]) if len(parts) == 6 else None
    text = reader(arn, parts[3], parts[5]) if reader is not None else None
    return parse(text) if text else EMPTY


def key_tags(arn: str, place: Place) -> dict[str, str]:
    """Condition keys of the tags of a KMS key; none for other resources."""
    if ":kms:" not in arn or ":key/" not in arn:
        return {}
    tags = moto_state.backend("kms", place.region).tagger.get_tag_dict_for_resource(arn.rpartition("/")[2])
    return {f"aws:ResourceTag/{key}": str(value) for key, value in tags.items()}


def _of_bucket(_arn: str, _region: str, resource: str) -> str | None:
    bucket = moto_state.find_bucket(resource.partition("/")[0])
    return bucket.policy.decode() if bucket is not None and bucket.policy else None


def _of_key(_arn: str, region: str, resource: str) -> str | None:
    key = moto_state.backend("kms", region).keys.get(resource.partition("/")[2])
    return key.policy if key is not None else None


def _of_function(_arn: str, region: str, resource: str) -> Document | None:
    name = resource.split(":")[1]
    functions = moto_state.backend("lambda", region).list_functions(None)
    found = next((function for function in functions if function.function_name == name), None)
    return {"Statement": found.policy.statements} if found is not None else None


def _of_queue(_arn: str, region: str, resource: str) -> str | None:
    queue = moto_state.backend("sqs", region).queues.get(resource)
    return queue.policy if queue is not None else None


def _of_topic(arn: str, region: str, _resource: str) -> str | None:
    topic = moto_state.backend("sns", region).topics.get(arn)
    return topic.policy if topic is not None else None


def _of_secret(arn: str, region: str, _resource: str) -> str | None:
    secrets = moto_state.backend("secretsmanager", region).secrets.values()
    return next((secret.policy for secret in secrets if secret.arn == arn), None)


def _of_role(arn: str, region: str, resource: str) -> str | None:
    """Trust policy; for sts:AssumeRole."""
    if not resource.startswith("role/"):
        return None
    try:
        return roles.trust_policy(moto_state.backend("iam", region), arn)
    except ServiceError:
        return None


READERS: Mapping[str, Callable[[str, str, str], Any]] = {
    "iam": _of_role,
    "kms": _of_key,
    "lambda": _of_function,
    "s3": _of_bucket,
    "secretsmanager": _of_secret,
    "sns": _of_topic,
    "sqs": _of_queue,
}
