"""Preconditions of a stage's first run and of its alarms; `LATER` before the first `pulumi up`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from ci.preflight.finding import Finding, Status, found, response_or_none
from ci.preflight.stage import StageInAccount
from ml import contract

PENDING = "PendingConfirmation"  # SNS API, SubscriptionArn of a subscription that is not confirmed
RAW_PREFIX = "raw/interactions/"


def _later(subject: str) -> Finding:
    return Finding(subject=subject, status=Status.LATER)


def check_subscription(stage: StageInAccount) -> Iterator[Finding]:
    """The alarm address has confirmed its subscription: SNS sends to confirmed addresses only."""
    email = stage.config.operations.alarm_email
    subject = f"alarm subscription of {email}"
    topics = [
        topic["TopicArn"]
        for topic in stage.pages("sns", "list_topics", "Topics")
        if topic["TopicArn"].rpartition(":")[2].startswith(f"{stage.prefix}alarms-")
    ]
    if not topics:
        yield _later(subject)
    for topic in topics:
        subscriptions = [
            each["SubscriptionArn"]
            for each in stage.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
            if each["Endpoint"] == email
        ]
        yield found(
            subject,
            any(arn != PENDING for arn in subscriptions),
            present="" if not subscriptions else "not confirmed" if PENDING in subscriptions else "confirmed",
            action="open the link in the mail of AWS Notifications; `pulumi up` again sends no second one: "
            f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {email}",
        )


def check_budget(stage: StageInAccount) -> Iterator[Finding]:
    """A deployed stage has its budget, with the limit of the stage file."""
    limit = stage.config.operations.monthly_budget_usd
    budgets = stage.pages("budgets", "describe_budgets", "Budgets", AccountId=stage.account_id)
    limits = {
        each["BudgetName"]: float(each["BudgetLimit"]["Amount"])
        for each in budgets
        if each["BudgetName"].startswith(f"{stage.prefix}budget-")
    }
    if not limits and _bucket(stage, "artifacts") is None:
        yield _later("budget")
        return
    yield found(
        "budget",
        limit in limits.values(),
        needed=f"{limit} USD per month",
        present=", ".join(f"{name}: {amount:g} USD" for name, amount in limits.items()),
        action=f"pulumi up --stack {stage.config.stage}",
    )


def _bucket(stage: StageInAccount, name: str) -> str | None:
    """The bucket of the stage with this label; None before the deployment."""
    buckets = stage.pages("s3", "list_buckets", "Buckets")
    names = [each["Name"] for each in buckets if each["Name"].startswith(f"{stage.prefix}{name}-")]
    return names[0] if names else None


def check_code_bundle(stage: StageInAccount) -> Iterator[Finding]:
    """The training code was published: without it, the first run stops at render_buildspec."""
    bucket = _bucket(stage, "artifacts")
    if bucket is None:
        yield _later("training code")
        return
    look_up = partial(stage.client("s3").head_object, Bucket=bucket, Key=contract.CODE_BUNDLE_KEY)
    yield found(
        "training code",
        response_or_none(look_up, "404", "NoSuchKey") is not None,
        needed=f"s3://{bucket}/{contract.CODE_BUNDLE_KEY}",
        action=f"upload it to {bucket} (docs/first-deployment.md, section 7), or run the Jenkins job",
    )


def check_interactions(stage: StageInAccount) -> Iterator[Finding]:
    """There are interactions to prepare."""
    bucket = _bucket(stage, "data")
    if bucket is None:
        yield _later("interactions")
        return
    listing = stage.client("s3").list_objects_v2(Bucket=bucket, Prefix=RAW_PREFIX, MaxKeys=1)
    yield found(
        "interactions",
        bool(listing.get("Contents")),
        needed=f"objects below s3://{bucket}/{RAW_PREFIX}",
        action=f"aws s3 cp --recursive interactions/ s3://{bucket}/{RAW_PREFIX}",
    )


CHECKS: Iterable[tuple[str, Any]] = (
    ("alarm subscription", check_subscription),
    ("budget", check_budget),
    ("training code", check_code_bundle),
    ("interactions", check_interactions),
)
