"""Resources of the types that a stage has, as the services list them."""

from __future__ import annotations

from typing import Any

from emulator.app import Emulator

# (service, operation, arguments, key of the answer, key of an item's identity; "" for the item itself)
LISTS: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    ("apigatewayv2", "get_apis", {}, "Items", "ApiId"),
    (
        "application-autoscaling",
        "describe_scalable_targets",
        {"ServiceNamespace": "sagemaker"},
        "ScalableTargets",
        "ResourceId",
    ),
    (
        "application-autoscaling",
        "describe_scaling_policies",
        {"ServiceNamespace": "sagemaker"},
        "ScalingPolicies",
        "PolicyName",
    ),
    ("budgets", "describe_budgets", {"AccountId": "123456789012"}, "Budgets", "BudgetName"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries", "DashboardName"),
    ("codebuild", "list_projects", {}, "projects", ""),
    ("ec2", "describe_route_tables", {}, "RouteTables", "RouteTableId"),
    ("ec2", "describe_security_groups", {}, "SecurityGroups", "GroupId"),
    ("ec2", "describe_subnets", {}, "Subnets", "SubnetId"),
    ("ec2", "describe_vpc_endpoints", {}, "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_vpcs", {}, "Vpcs", "VpcId"),
    ("ec2", "describe_network_interfaces", {}, "NetworkInterfaces", "NetworkInterfaceId"),
    ("events", "list_rules", {}, "Rules", "Name"),
    ("iam", "list_instance_profiles", {}, "InstanceProfiles", "InstanceProfileName"),
    ("iam", "list_policies", {"Scope": "Local"}, "Policies", "PolicyName"),
    ("iam", "list_roles", {}, "Roles", "RoleName"),
    ("lambda", "list_functions", {}, "Functions", "FunctionName"),
    ("logs", "describe_log_groups", {}, "logGroups", "logGroupName"),
    ("s3", "list_buckets", {}, "Buckets", "Name"),
    ("sagemaker", "list_endpoint_configs", {}, "EndpointConfigs", "EndpointConfigName"),
    ("sagemaker", "list_endpoints", {}, "Endpoints", "EndpointName"),
    (
        "sagemaker",
        "list_model_package_groups",
        {},
        "ModelPackageGroupSummaryList",
        "ModelPackageGroupName",
    ),
    ("sagemaker", "list_models", {}, "Models", "ModelName"),
    ("scheduler", "list_schedules", {}, "Schedules", "Name"),
    ("sns", "list_subscriptions", {}, "Subscriptions", "SubscriptionArn"),
    ("sns", "list_topics", {}, "Topics", "TopicArn"),
    ("sqs", "list_queues", {}, "QueueUrls", ""),
)


def remaining_resources(emulator: Emulator) -> set[tuple[str, str]]:
    """(operation, identity) of every resource; KMS keys count until their deletion is scheduled."""
    found = set()
    for service, operation, arguments, answer_key, item_key in LISTS:
        answer = getattr(emulator.client(service), operation)(**arguments)
        for item in answer.get(answer_key, []):
            found.add((operation, item[item_key] if item_key else item))
    return found | _active_keys(emulator.client("kms"))


def _active_keys(kms: Any) -> set[tuple[str, str]]:
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    return {
        ("list_keys", key["KeyId"])
        for key in keys
        if key["KeyState"] == "Enabled" and key["KeyManager"] == "CUSTOMER"
    }
