"""Creators of rules, alarms, dashboards, log groups, queues and topics."""

from __future__ import annotations

import json

from emulator.app import Emulator
from tests.local.deploy.conftest import DeploySource
from tests.local.projects import TAGS


def test_rule_and_target(deploy_source: DeploySource, emulator: Emulator) -> None:
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"wildcard": "prepared/run=*/_SUCCESS"}]}}}
    rule = deploy_source(
        f"""
    queue = aws.sqs.Queue("q")
    rule = aws.cloudwatch.EventRule("r", description="d", event_pattern=json.dumps({pattern!r}))
    aws.cloudwatch.EventTarget("t", rule=rule.name, target_id="one", arn=queue.arn,
        role_arn="arn:aws:iam::123456789012:role/r",
        retry_policy={{"maximum_retry_attempts": 4, "maximum_event_age_in_seconds": 600}},
        dead_letter_config={{"arn": queue.arn}},
        input_transformer={{"input_paths": {{"k": "$.detail.object.key"}},
                            "input_template": '{{"a": "<k>"}}'}})
    pulumi.export("rule", rule.name)
    """
    ).outputs["rule"]
    events = emulator.client("events")

    assert json.loads(events.describe_rule(Name=rule)["EventPattern"]) == pattern
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 4, "MaximumEventAgeInSeconds": 600}
    assert target["InputTransformer"] == {
        "InputPathsMap": {"k": "$.detail.object.key"},
        "InputTemplate": '{"a": "<k>"}',
    }
    assert target["DeadLetterConfig"]["Arn"] == target["Arn"]


def test_alarm_and_dashboard(deploy_source: DeploySource, emulator: Emulator) -> None:
    body = {"widgets": [{"type": "text", "properties": {"markdown": "# hello"}}]}
    outputs = deploy_source(
        f"""
    alarm = aws.cloudwatch.MetricAlarm("a", namespace="N", metric_name="m", dimensions={{"Q": "q"}},
        comparison_operator="GreaterThanThreshold", threshold=0.5, period=60, evaluation_periods=2,
        extended_statistic="p99", treat_missing_data="notBreaching", alarm_actions=["arn:aws:sns:a:1:t"])
    aws.cloudwatch.Dashboard("d", dashboard_name="tiny", dashboard_body=json.dumps({body!r}))
    pulumi.export("alarm", alarm.name)
    """
    ).outputs
    cloudwatch = emulator.client("cloudwatch")

    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[outputs["alarm"]])["MetricAlarms"]
    assert (alarm["Threshold"], alarm["ExtendedStatistic"]) == (0.5, "p99")
    assert alarm["Dimensions"] == [{"Name": "Q", "Value": "q"}]
    assert alarm["AlarmActions"] == ["arn:aws:sns:a:1:t"]
    assert json.loads(cloudwatch.get_dashboard(DashboardName="tiny")["DashboardBody"]) == body


def test_alarm_on_an_expression(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        """
    metric = {"namespace": "N", "metric_name": "m", "dimensions": {"Q": "q"}, "period": 60, "stat": "Sum"}
    queries = [{"id": "a", "return_data": False, "metric": metric},
        {"id": "b", "expression": "IF(a >= 3, a, 0)", "label": "failures", "return_data": True}]
    alarm = aws.cloudwatch.MetricAlarm("a", metric_queries=queries, evaluation_periods=1, threshold=5,
        comparison_operator="GreaterThanThreshold")
    pulumi.export("alarm", alarm.name)
    """
    ).outputs
    (alarm,) = emulator.client("cloudwatch").describe_alarms(AlarmNames=[outputs["alarm"]])["MetricAlarms"]
    metric, expression = alarm["Metrics"]
    assert metric["MetricStat"]["Metric"]["Dimensions"] == [{"Name": "Q", "Value": "q"}]
    assert (metric["MetricStat"]["Stat"], metric["ReturnData"]) == ("Sum", False)
    assert (expression["Expression"], expression["ReturnData"]) == ("IF(a >= 3, a, 0)", True)


def test_log_group(deploy_source: DeploySource, emulator: Emulator) -> None:
    deployment = deploy_source(
        """
    key = aws.kms.Key("k")
    group = aws.cloudwatch.LogGroup("g", name="/tiny/g", retention_in_days=14, kms_key_id=key.arn)
    pulumi.export("key", key.arn)
    pulumi.export("arn", group.arn)
    """
    )
    logs = emulator.client("logs")

    (group,) = logs.describe_log_groups(logGroupNamePrefix="/tiny/g")["logGroups"]
    assert (group["retentionInDays"], group["kmsKeyId"]) == (14, deployment.outputs["key"])
    assert deployment.outputs["arn"].endswith(":log-group:/tiny/g"), "the provider returns the ARN without :*"
    assert logs.list_tags_for_resource(resourceArn=deployment.outputs["arn"])["tags"] == TAGS


def test_queue_and_topic(deploy_source: DeploySource, emulator: Emulator) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}],
    }
    outputs = deploy_source(
        f"""
    queue = aws.sqs.Queue("q", message_retention_seconds=120, sqs_managed_sse_enabled=True)
    aws.sqs.QueuePolicy("qp", queue_url=queue.url, policy=json.dumps({policy!r}))
    topic = aws.sns.Topic("t", kms_master_key_id="alias/aws/sns")
    aws.sns.TopicPolicy("tp", arn=topic.arn, policy=json.dumps({policy!r}))
    aws.sns.TopicSubscription("s", topic=topic.arn, protocol="email", endpoint="a@example.com")
    pulumi.export("queue", queue.url)
    pulumi.export("topic", topic.arn)
    """
    ).outputs
    sqs, sns = emulator.client("sqs"), emulator.client("sns")

    queue = sqs.get_queue_attributes(QueueUrl=outputs["queue"], AttributeNames=["All"])["Attributes"]
    assert (queue["MessageRetentionPeriod"], queue["SqsManagedSseEnabled"]) == ("120", "true")
    assert json.loads(queue["Policy"]) == policy
    assert sqs.list_queue_tags(QueueUrl=outputs["queue"])["Tags"] == TAGS
    topic = sns.get_topic_attributes(TopicArn=outputs["topic"])["Attributes"]
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"
    assert json.loads(topic["Policy"]) == policy
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=outputs["topic"])["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "a@example.com")
