"""Creators of builds, models, endpoints, APIs, budgets and schedules."""

from __future__ import annotations

from typing import Any

import pytest

from emulator import moto_state
from emulator.app import Emulator
from local.deploy.errors import CreateError
from tests.local.deploy.conftest import DeploySource

ROLE = """
def trust(service):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Statement": [statement]})
"""


def test_build_project(deploy_source: DeploySource, emulator: Emulator) -> None:
    name = deploy_source(
        ROLE
        + """
role = aws.iam.Role("r", assume_role_policy=trust("codebuild.amazonaws.com"))
project = aws.codebuild.Project("p", service_role=role.arn, build_timeout=30, queued_timeout=60,
    source={"type": "S3", "location": "bucket/code/source.zip", "buildspec": "version: 0.2"},
    artifacts={"type": "NO_ARTIFACTS"},
    environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
                 "compute_type": "BUILD_GENERAL1_SMALL",
                 "environment_variables": [{"name": "A", "value": "1", "type": "PLAINTEXT"}]},
    logs_config={"cloudwatch_logs": {"status": "ENABLED", "group_name": "/build"}})
pulumi.export("name", project.name)
"""
    ).outputs["name"]

    (project,) = emulator.client("codebuild").batch_get_projects(names=[name])["projects"]
    assert project["source"]["location"] == "bucket/code/source.zip"
    assert project["environment"]["environmentVariables"] == [
        {"name": "A", "value": "1", "type": "PLAINTEXT"}
    ]
    assert project["logsConfig"]["cloudWatchLogs"]["groupName"] == "/build"
    assert (project["timeoutInMinutes"], project["queuedTimeoutInMinutes"]) == (30, 60)


ENDPOINT = (
    ROLE
    + """
role = aws.iam.Role("r", assume_role_policy=trust("sagemaker.amazonaws.com"))
model = aws.sagemaker.Model("m", execution_role_arn=role.arn,
    primary_container={"image": "pytorch", "model_data_url": "s3://b/m.tar.gz", "environment": {"A": "1"}})
config = aws.sagemaker.EndpointConfiguration("c", production_variants=[{"variant_name": "AllTraffic",
    "model_name": model.name, "instance_type": "ml.m5.large", "initial_instance_count": 2,
    "initial_variant_weight": 1}])
endpoint = aws.sagemaker.Endpoint("e", name="ENDPOINT", endpoint_config_name=config.name)
"""
)


def test_endpoint_and_autoscaling(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        ENDPOINT.replace("ENDPOINT", "tiny")
        + """
scale = dict(service_namespace="sagemaker", scalable_dimension="sagemaker:variant:DesiredInstanceCount",
             resource_id=pulumi.Output.concat("endpoint/", endpoint.name, "/variant/AllTraffic"))
target = aws.appautoscaling.Target("t", min_capacity=1, max_capacity=4, **scale)
aws.appautoscaling.Policy("p", policy_type="TargetTrackingScaling", **scale,
    target_tracking_scaling_policy_configuration={"target_value": 600, "scale_in_cooldown": 300,
        "predefined_metric_specification":
            {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"}},
    opts=pulumi.ResourceOptions(depends_on=target))
pulumi.export("config", config.name)
"""
    ).outputs
    sagemaker, scaling = emulator.client("sagemaker"), emulator.client("application-autoscaling")

    endpoint = sagemaker.describe_endpoint(EndpointName="tiny")
    assert (endpoint["EndpointConfigName"], endpoint["EndpointStatus"]) == (outputs["config"], "InService")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600


def test_failed_endpoint_is_reported_with_its_reason(
    deploy_source: DeploySource, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend: Any = moto_state.backend("sagemaker", emulator.region)
    create = backend.create_endpoint

    def fail(*args: Any, **kwargs: Any) -> Any:
        endpoint = create(*args, **kwargs)
        endpoint.endpoint_status, endpoint.failure_reason = "Failed", "the container did not start"
        return endpoint

    monkeypatch.setattr(backend, "create_endpoint", fail)

    with pytest.raises(CreateError, match=r"Endpoint e: the endpoint is Failed: the container did not start"):
        deploy_source(ENDPOINT.replace("ENDPOINT", "broken"))


@pytest.mark.parametrize(("stage", "path"), [("$default", ""), ("v1", "/v1")])
def test_api_address_is_a_path_of_the_emulator(
    deploy_source: DeploySource, emulator: Emulator, stage: str, path: str
) -> None:
    outputs = deploy_source(
        f"""
    api = aws.apigatewayv2.Api("a", protocol_type="HTTP")
    integration = aws.apigatewayv2.Integration("i", api_id=api.id, integration_type="AWS_PROXY",
        integration_method="POST", integration_uri="arn:aws:lambda:ap-northeast-2:123456789012:function:f",
        payload_format_version="2.0", timeout_milliseconds=5000)
    route = aws.apigatewayv2.Route("r", api_id=api.id, route_key="GET /a/{{id}}",
        authorization_type="AWS_IAM", target=pulumi.Output.concat("integrations/", integration.id))
    stage = aws.apigatewayv2.Stage("s", api_id=api.id, name="{stage}", auto_deploy=True,
        default_route_settings={{"throttling_rate_limit": 5, "throttling_burst_limit": 10}},
        access_log_settings={{"destination_arn": "arn:aws:logs:a:1:log-group:g", "format": "{{}}"}})
    pulumi.export("id", api.id)
    pulumi.export("endpoint", api.api_endpoint)
    pulumi.export("url", stage.invoke_url)
    """
    ).outputs
    client = emulator.client("apigatewayv2")

    assert outputs["endpoint"] == f"{emulator.url}/_aws/execute-api/{outputs['id']}"
    assert outputs["url"] == outputs["endpoint"] + path
    (route,) = client.get_routes(ApiId=outputs["id"])["Items"]
    assert (route["RouteKey"], route["AuthorizationType"]) == ("GET /a/{id}", "AWS_IAM")
    settings = client.get_stage(ApiId=outputs["id"], StageName=stage)["DefaultRouteSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (5, 10)


def test_budget_schedule_and_security_configuration(deploy_source: DeploySource, emulator: Emulator) -> None:
    outputs = deploy_source(
        ROLE
        + """
role = aws.iam.Role("r", assume_role_policy=trust("scheduler.amazonaws.com"))
budget = aws.budgets.Budget("b", budget_type="COST", time_unit="MONTHLY",
    limit_amount="500", limit_unit="USD",
    cost_filters=[{"name": "TagKeyValue", "values": ["user:Owner$me"]}],
    notifications=[{"comparison_operator": "GREATER_THAN", "notification_type": "ACTUAL", "threshold": 80,
                    "threshold_type": "PERCENTAGE", "subscriber_email_addresses": ["a@example.com"]}])
schedule = aws.scheduler.Schedule("s", schedule_expression="cron(0 2 * * ? *)",
    schedule_expression_timezone="Asia/Seoul", flexible_time_window={"mode": "OFF"},
    target={"arn": "arn:aws:scheduler:::aws-sdk:emr:runJobFlow", "role_arn": role.arn,
            "input": "{}",
            "retry_policy": {"maximum_retry_attempts": 2, "maximum_event_age_in_seconds": 60}})
security = aws.emr.SecurityConfiguration("e", configuration=json.dumps({"EncryptionConfiguration": {}}))
for name, resource in {"budget": budget, "schedule": schedule, "security": security}.items():
    pulumi.export(name, resource.name)
"""
    ).outputs

    budget = emulator.client("budgets").describe_budget(
        AccountId=emulator.account_id, BudgetName=outputs["budget"]
    )["Budget"]
    assert budget["BudgetLimit"] == {"Amount": "500", "Unit": "USD"}
    assert budget["CostFilters"] == {"TagKeyValue": ["user:Owner$me"]}
    schedule = emulator.client("scheduler").get_schedule(Name=outputs["schedule"])
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Seoul"
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 2
    emr = emulator.client("emr")
    kept = emr.describe_security_configuration(Name=outputs["security"])["SecurityConfiguration"]
    assert kept == '{"EncryptionConfiguration": {}}'
