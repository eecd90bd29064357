"""Calls to AWS that create and delete the resources of a stage."""

from __future__ import annotations

from emulator.authorization.policies import Call
from tests import pulumi_engine
from tests.account.program import arn
from tests.pulumi_engine import REGION

# Type of resource -> IAM actions that create and delete it, and its ARN, with `{name}` if it has a name.
# A type of a stage that is missing here is a KeyError.
BY_TYPE: dict[str, tuple[tuple[str, ...], str]] = {
    "aws:apigatewayv2/api:Api": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1",
    ),
    "aws:apigatewayv2/integration:Integration": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/integrations",
    ),
    "aws:apigatewayv2/route:Route": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/routes",
    ),
    "aws:apigatewayv2/stage:Stage": (
        ("apigateway:POST", "apigateway:DELETE"),
        "arn:aws:apigateway:{region}::/apis/a1/stages",
    ),
    "aws:appautoscaling/policy:Policy": (
        ("application-autoscaling:PutScalingPolicy", "application-autoscaling:DeleteScalingPolicy"),
        arn("application-autoscaling", "scalable-target/1"),
    ),
    "aws:appautoscaling/target:Target": (
        (
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget",
        ),
        arn("application-autoscaling", "scalable-target/1"),
    ),
    "aws:budgets/budget:Budget": (
        ("budgets:ModifyBudget", "budgets:ViewBudget"),
        arn("budgets", "budget/{name}", ""),
    ),
    "aws:cloudwatch/dashboard:Dashboard": (
        ("cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"),
        arn("cloudwatch", "dashboard/{name}", ""),
    ),
    "aws:cloudwatch/eventRule:EventRule": (
        ("events:PutRule", "events:DeleteRule"),
        arn("events", "rule/{name}"),
    ),
    "aws:cloudwatch/eventTarget:EventTarget": (
        ("events:PutTargets", "events:RemoveTargets"),
        arn("events", "rule/{name}"),
    ),
    "aws:cloudwatch/logGroup:LogGroup": (
        ("logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy"),
        arn("logs", "log-group:{name}"),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (
        ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
        arn("cloudwatch", "alarm:{name}"),
    ),
    "aws:codebuild/project:Project": (
        ("codebuild:CreateProject", "codebuild:DeleteProject"),
        arn("codebuild", "project/{name}"),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        ("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:ec2/flowLog:FlowLog": (
        ("ec2:CreateFlowLogs", "ec2:DeleteFlowLogs"),
        arn("ec2", "vpc-flow-log/fl-1"),
    ),
    "aws:ec2/routeTable:RouteTable": (
        ("ec2:CreateRouteTable", "ec2:DeleteRouteTable"),
        arn("ec2", "route-table/rtb-1"),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (
        ("ec2:AssociateRouteTable", "ec2:DisassociateRouteTable"),
        arn("ec2", "route-table/rtb-1"),
    ),
    "aws:ec2/securityGroup:SecurityGroup": (
        ("ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:ec2/subnet:Subnet": (("ec2:CreateSubnet", "ec2:DeleteSubnet"), arn("ec2", "subnet/subnet-1")),
    "aws:ec2/vpc:Vpc": (
        ("ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute"),
        arn("ec2", "vpc/vpc-1"),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (
        ("ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints"),
        arn("ec2", "vpc-endpoint/vpce-1"),
    ),
    "aws:emr/securityConfiguration:SecurityConfiguration": (
        ("elasticmapreduce:CreateSecurityConfiguration", "elasticmapreduce:DeleteSecurityConfiguration"),
        "*",
    ),
    "aws:iam/instanceProfile:InstanceProfile": (
        ("iam:CreateInstanceProfile", "iam:DeleteInstanceProfile"),
        arn("iam", "instance-profile/{name}", ""),
    ),
    "aws:iam/role:Role": (
        ("iam:CreateRole", "iam:DeleteRole", "iam:PassRole"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:iam/rolePolicy:RolePolicy": (
        ("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": (
        ("iam:AttachRolePolicy", "iam:DetachRolePolicy"),
        arn("iam", "role/{name}", ""),
    ),
    "aws:kms/alias:Alias": (("kms:CreateAlias", "kms:DeleteAlias"), arn("kms", "{name}")),
    "aws:kms/key:Key": (("kms:ScheduleKeyDeletion", "kms:EnableKeyRotation"), arn("kms", "key/k-1")),
    "aws:kms/keyPolicy:KeyPolicy": (("kms:PutKeyPolicy",), arn("kms", "key/k-1")),
    "aws:lambda/function:Function": (
        ("lambda:CreateFunction", "lambda:DeleteFunction"),
        arn("lambda", "function:{name}"),
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": (
        ("lambda:PutFunctionEventInvokeConfig", "lambda:DeleteFunctionEventInvokeConfig"),
        arn("lambda", "function:{name}"),
    ),
    "aws:lambda/permission:Permission": (
        ("lambda:AddPermission", "lambda:RemovePermission"),
        arn("lambda", "function:{name}"),
    ),
    "aws:s3/bucketObjectv2:BucketObjectv2": (
        ("s3:PutObject", "s3:DeleteObject"),
        "arn:aws:s3:::{name}/spark/main.py",
    ),
    "aws:sagemaker/endpoint:Endpoint": (
        ("sagemaker:CreateEndpoint", "sagemaker:DeleteEndpoint"),
        arn("sagemaker", "endpoint/{name}"),
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": (
        ("sagemaker:CreateEndpointConfig", "sagemaker:DeleteEndpointConfig"),
        arn("sagemaker", "endpoint-config/{name}"),
    ),
    "aws:sagemaker/model:Model": (
        ("sagemaker:CreateModel", "sagemaker:DeleteModel"),
        arn("sagemaker", "model/{name}"),
    ),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": (
        ("sagemaker:CreateModelPackageGroup", "sagemaker:DeleteModelPackageGroup"),
        arn("sagemaker", "model-package-group/{name}"),
    ),
    "aws:scheduler/schedule:Schedule": (
        ("scheduler:CreateSchedule", "scheduler:DeleteSchedule"),
        arn("scheduler", "schedule/default/{name}"),
    ),
    "aws:sns/topic:Topic": (("sns:CreateTopic", "sns:DeleteTopic"), arn("sns", "{name}")),
    "aws:sns/topicPolicy:TopicPolicy": (("sns:SetTopicAttributes",), arn("sns", "{name}")),
    "aws:sns/topicSubscription:TopicSubscription": (
        ("sns:Subscribe",),  # sns:Unsubscribe has no resource
        arn("sns", "{name}"),
    ),
    "aws:sqs/queue:Queue": (("sqs:CreateQueue", "sqs:DeleteQueue"), arn("sqs", "{name}")),
    "aws:sqs/queuePolicy:QueuePolicy": (("sqs:SetQueueAttributes",), arn("sqs", "{name}")),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        ("ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress"),
        arn("ec2", "security-group/sg-1"),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (
        ("ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"),
        arn("ec2", "security-group/sg-1"),
    ),
}
BUCKET = (("s3:CreateBucket", "s3:DeleteBucket", "s3:PutBucketPolicy"), "arn:aws:s3:::{name}")
GIVEN_NAME = {  # input with the name, of types whose name the program may choose
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
}


def calls(resource: pulumi_engine.Resource, stage: str) -> list[Call]:
    """Calls that create and delete a resource of a stage."""
    is_bucket = resource.type.startswith("aws:s3/bucket") and "Object" not in resource.type
    actions, form = BUCKET if is_bucket else BY_TYPE[resource.type]
    given = resource.inputs.get(GIVEN_NAME.get(resource.type, "name"))
    name = given if given and given != "$default" else f"ncf-{stage}-{resource.name}-1a2b3c"
    context = {"aws:ResourceTag/Stage": stage, "aws:RequestedRegion": REGION}
    return [Call(action, form.format(name=name, region=REGION), context=context) for action in actions]
