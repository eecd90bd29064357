"""Creators of log groups, event rules and targets, alarms and dashboards."""

from __future__ import annotations

from typing import Any

from local.deploy.context import Context, Creator, delivery_settings, tag_list
from local.deploy.inputs import Inputs

MAX_LOG_GROUP_NAME = 512  # CloudWatch Logs API, CreateLogGroup
MAX_RULE_NAME = 64  # EventBridge API, PutRule
MAX_ALARM_NAME = 255  # CloudWatch API, PutMetricAlarm


def log_group(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    logs = context.client("logs")
    group_name = context.name_of(inputs, name, max_length=MAX_LOG_GROUP_NAME)
    tags = inputs.plain("tags", {})
    sent = inputs.pick({"kmsKeyId": "kmsKeyId"})
    logs.create_log_group(logGroupName=group_name, **sent, **({"tags": tags} if tags else {}))
    days = inputs.get("retentionInDays", 0)  # 0: events never expire
    if days:
        sent["retentionInDays"] = days
        logs.put_retention_policy(logGroupName=group_name, retentionInDays=days)
    groups = logs.describe_log_groups(logGroupNamePrefix=group_name)["logGroups"]
    read = next(group for group in groups if group["logGroupName"] == group_name)
    arn = read["arn"].removesuffix(":*")
    inputs.compare(
        sent | {"Tags": tags}, read | {"Tags": logs.list_tags_for_resource(resourceArn=arn)["tags"]}
    )
    return group_name, {"arn": arn, "name": group_name}


def event_rule(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    events = context.client("events")
    sent = {
        "Name": context.name_of(inputs, name, max_length=MAX_RULE_NAME),
        **inputs.pick(
            {
                "description": "Description",
                "eventPattern": "EventPattern",
                "scheduleExpression": "ScheduleExpression",
                "state": "State",
                "eventBusName": "EventBusName",
            }
        ),
    }
    tags = tag_list(inputs)
    arn = events.put_rule(**sent, Tags=tags)["RuleArn"]
    read = events.describe_rule(Name=sent["Name"])
    inputs.compare(sent | {"Tags": tags}, read | events.list_tags_for_resource(ResourceARN=arn))
    return sent["Name"], {"arn": arn, "name": sent["Name"]}


def event_target(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    events = context.client("events")
    rule = inputs["rule"]
    sent = {
        "Id": context.name_of(inputs, name, key="targetId", max_length=64),
        **inputs.pick({"arn": "Arn", "roleArn": "RoleArn", "input": "Input", "inputPath": "InputPath"}),
        **delivery_settings(inputs),
    }
    if transformer := inputs.block("inputTransformer"):
        sent["InputTransformer"] = {
            "InputPathsMap": transformer.plain("inputPaths", {}),
            **transformer.pick({"inputTemplate": "InputTemplate"}),
        }
    events.put_targets(Rule=rule, Targets=[sent])
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    inputs.compare(sent, next(target for target in targets if target["Id"] == sent["Id"]))
    return f"{rule}-{sent['Id']}", {"targetId": sent["Id"]}


def metric_alarm(context: Context, name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    cloudwatch = context.client("cloudwatch")
    sent = {
        "AlarmName": context.name_of(inputs, name, max_length=MAX_ALARM_NAME),
        **inputs.pick(
            {
                "alarmDescription": "AlarmDescription",
                "namespace": "Namespace",
                "metricName": "MetricName",
                "comparisonOperator": "ComparisonOperator",
                "threshold": "Threshold",
                "period": "Period",
                "evaluationPeriods": "EvaluationPeriods",
                "datapointsToAlarm": "DatapointsToAlarm",
                "treatMissingData": "TreatMissingData",
                "statistic": "Statistic",
                "extendedStatistic": "ExtendedStatistic",
                "unit": "Unit",
                "alarmActions": "AlarmActions",
                "okActions": "OKActions",
                "actionsEnabled": "ActionsEnabled",
            }
        ),
    }
    if queries := inputs.blocks("metricQueries"):
        sent["Metrics"] = [_metric_query(query) for query in queries]
    else:
        sent["Dimensions"] = _dimensions(inputs)
    tags = tag_list(inputs)
    cloudwatch.put_metric_alarm(**sent, Tags=tags)
    (read,) = cloudwatch.describe_alarms(AlarmNames=[sent["AlarmName"]])["MetricAlarms"]
    kept_tags = cloudwatch.list_tags_for_resource(ResourceARN=read["AlarmArn"])
    inputs.compare(sent | {"Tags": tags}, read | kept_tags)
    return sent["AlarmName"], {"arn": read["AlarmArn"], "name": sent["AlarmName"]}


def _metric_query(query: Inputs) -> dict[str, Any]:
    """A metric or an expression of an alarm, as PutMetricAlarm takes it."""
    found = query.pick({"id": "Id", "expression": "Expression", "label": "Label", "returnData": "ReturnData"})
    if metric := query.block("metric"):
        named = metric.pick({"namespace": "Namespace", "metricName": "MetricName"})
        found["MetricStat"] = {
            "Metric": {**named, "Dimensions": _dimensions(metric)},
            **metric.pick({"period": "Period", "stat": "Stat", "unit": "Unit"}),
        }
    return found


def _dimensions(inputs: Inputs) -> list[dict[str, Any]]:
    return [{"Name": key, "Value": value} for key, value in inputs.plain("dimensions", {}).items()]


def dashboard(context: Context, _name: str, inputs: Inputs) -> tuple[str, dict[str, Any]]:
    cloudwatch = context.client("cloudwatch")
    sent = {"DashboardName": inputs["dashboardName"], "DashboardBody": inputs["dashboardBody"]}
    cloudwatch.put_dashboard(**sent)
    read = cloudwatch.get_dashboard(DashboardName=sent["DashboardName"])
    inputs.compare(sent, read)
    return sent["DashboardName"], {"dashboardArn": read["DashboardArn"]}


CREATORS: dict[str, Creator] = {
    "aws:cloudwatch/logGroup:LogGroup": log_group,
    "aws:cloudwatch/eventRule:EventRule": event_rule,
    "aws:cloudwatch/eventTarget:EventTarget": event_target,
    "aws:cloudwatch/metricAlarm:MetricAlarm": metric_alarm,
    "aws:cloudwatch/dashboard:Dashboard": dashboard,
}
