"""Operations that the emulator supports; moto would answer others and do nothing.

Operations that only read are supported when moto has them: what cannot be created is not listed. An operation
that changes something is supported when moto stores all of its effect, or a provider runs it. The others are
NotImplemented, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

READ = re.compile(r"(BatchGet|Describe|Filter|Get|Head|List|Search|Simulate|Test)[A-Z]\w*")
# Operations whose name begins like one that reads.
NOT_READ = frozenset({"GetQueryResults", "GetFederationToken", "ListPipelineVersions"})

STORED: Mapping[str, str] = {
    "application-autoscaling": """
        RegisterScalableTarget DeregisterScalableTarget PutScalingPolicy DeleteScalingPolicy TagResource
        UntagResource""",
    "apigatewayv2": """
        CreateApi UpdateApi DeleteApi DeleteCorsConfiguration CreateIntegration UpdateIntegration
        DeleteIntegration CreateRoute UpdateRoute DeleteRoute CreateStage UpdateStage DeleteStage TagResource
        UntagResource""",
    "budgets": """
        CreateBudget UpdateBudget DeleteBudget CreateNotification UpdateNotification DeleteNotification
        CreateSubscriber UpdateSubscriber DeleteSubscriber TagResource UntagResource""",
    "cloudwatch": """
        PutMetricAlarm DeleteAlarms SetAlarmState EnableAlarmActions DisableAlarmActions PutDashboard
        DeleteDashboards PutMetricData TagResource UntagResource""",
    "codebuild": "CreateProject UpdateProject DeleteProject",
    "ec2": """
        CreateTags DeleteTags CreateVpc ModifyVpcAttribute DeleteVpc AssociateVpcCidrBlock
        DisassociateVpcCidrBlock CreateSubnet ModifySubnetAttribute DeleteSubnet AssociateSubnetCidrBlock
        DisassociateSubnetCidrBlock CreateSecurityGroup DeleteSecurityGroup AuthorizeSecurityGroupIngress
        AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress
        ModifySecurityGroupRules UpdateSecurityGroupRuleDescriptionsIngress
        UpdateSecurityGroupRuleDescriptionsEgress CreateRouteTable DeleteRouteTable AssociateRouteTable
        DisassociateRouteTable ReplaceRouteTableAssociation CreateRoute ReplaceRoute DeleteRoute
        CreateInternetGateway AttachInternetGateway DetachInternetGateway DeleteInternetGateway
        CreateNatGateway DeleteNatGateway AllocateAddress AssociateAddress DisassociateAddress ReleaseAddress
        CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints CreateFlowLogs DeleteFlowLogs
        CreateNetworkInterface ModifyNetworkInterfaceAttribute DeleteNetworkInterface CreateNetworkAcl
        DeleteNetworkAcl CreateNetworkAclEntry ReplaceNetworkAclEntry DeleteNetworkAclEntry
        ReplaceNetworkAclAssociation CreateDhcpOptions AssociateDhcpOptions DeleteDhcpOptions
        CreateManagedPrefixList ModifyManagedPrefixList DeleteManagedPrefixList""",
    "emr": """
        AddTags RemoveTags SetTerminationProtection SetVisibleToAllUsers CreateSecurityConfiguration
        DeleteSecurityConfiguration PutBlockPublicAccessConfiguration""",
    "events": """
        PutRule DeleteRule EnableRule DisableRule PutTargets RemoveTargets CreateEventBus DeleteEventBus
        PutPermission RemovePermission TagResource UntagResource""",
    "iam": """
        CreateRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy DeleteRole PutRolePolicy
        DeleteRolePolicy AttachRolePolicy DetachRolePolicy PutRolePermissionsBoundary
        DeleteRolePermissionsBoundary CreateServiceLinkedRole DeleteServiceLinkedRole TagRole UntagRole
        CreatePolicy DeletePolicy CreatePolicyVersion DeletePolicyVersion SetDefaultPolicyVersion TagPolicy
        UntagPolicy CreateInstanceProfile DeleteInstanceProfile AddRoleToInstanceProfile
        RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile CreateUser UpdateUser DeleteUser
        PutUserPolicy DeleteUserPolicy AttachUserPolicy DetachUserPolicy TagUser UntagUser CreateAccessKey
        UpdateAccessKey DeleteAccessKey CreateGroup UpdateGroup DeleteGroup AddUserToGroup RemoveUserFromGroup
        PutGroupPolicy DeleteGroupPolicy AttachGroupPolicy DetachGroupPolicy CreateOpenIDConnectProvider
        UpdateOpenIDConnectProviderThumbprint DeleteOpenIDConnectProvider TagOpenIDConnectProvider
        UntagOpenIDConnectProvider CreateAccountAlias DeleteAccountAlias""",
    "kms": """
        CreateKey EnableKey DisableKey EnableKeyRotation DisableKeyRotation ScheduleKeyDeletion
        CancelKeyDeletion PutKeyPolicy UpdateKeyDescription CreateAlias UpdateAlias DeleteAlias CreateGrant
        RevokeGrant RetireGrant TagResource UntagResource Encrypt Decrypt ReEncrypt GenerateDataKey
        GenerateDataKeyWithoutPlaintext GenerateRandom Sign Verify GenerateMac VerifyMac""",
    "lambda": """
        CreateFunction UpdateFunctionCode UpdateFunctionConfiguration PublishVersion CreateAlias UpdateAlias
        DeleteAlias AddPermission RemovePermission PutFunctionConcurrency DeleteFunctionConcurrency
        PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig
        PublishLayerVersion DeleteLayerVersion CreateEventSourceMapping UpdateEventSourceMapping
        DeleteEventSourceMapping TagResource UntagResource""",
    "logs": """
        CreateLogGroup DeleteLogGroup CreateLogStream DeleteLogStream PutLogEvents PutRetentionPolicy
        DeleteRetentionPolicy PutResourcePolicy DeleteResourcePolicy TagResource UntagResource TagLogGroup
        UntagLogGroup""",
    "s3": """
        CreateBucket DeleteBucket PutObject CopyObject DeleteObject DeleteObjects CreateMultipartUpload
        UploadPart UploadPartCopy CompleteMultipartUpload AbortMultipartUpload PutObjectAcl PutObjectTagging
        DeleteObjectTagging PutObjectLegalHold PutObjectRetention PutObjectLockConfiguration PutBucketAcl
        PutBucketCors DeleteBucketCors PutBucketEncryption DeleteBucketEncryption
        PutBucketLifecycleConfiguration DeleteBucketLifecycle PutBucketLogging
        PutBucketNotificationConfiguration PutBucketOwnershipControls DeleteBucketOwnershipControls
        PutBucketPolicy DeleteBucketPolicy PutBucketTagging DeleteBucketTagging PutBucketVersioning
        PutPublicAccessBlock DeletePublicAccessBlock""",
    "s3control": "PutPublicAccessBlock DeletePublicAccessBlock TagResource UntagResource",
    "sagemaker": """
        AddTags DeleteTags CreateModel DeleteModel CreateEndpointConfig DeleteEndpointConfig
        CreateModelPackageGroup DeleteModelPackageGroup CreateModelPackage UpdateModelPackage
        DeleteModelPackage""",
    "scheduler": """
        CreateSchedule UpdateSchedule DeleteSchedule CreateScheduleGroup DeleteScheduleGroup TagResource
        UntagResource""",
    "secretsmanager": """
        CreateSecret UpdateSecret PutSecretValue DeleteSecret RestoreSecret UpdateSecretVersionStage
        PutResourcePolicy DeleteResourcePolicy TagResource UntagResource""",
    "sns": """
        CreateTopic DeleteTopic SetTopicAttributes Subscribe ConfirmSubscription Unsubscribe
        SetSubscriptionAttributes Publish PublishBatch AddPermission RemovePermission TagResource
        UntagResource""",
    "sqs": """
        CreateQueue DeleteQueue SetQueueAttributes SendMessage SendMessageBatch ReceiveMessage DeleteMessage
        DeleteMessageBatch ChangeMessageVisibility ChangeMessageVisibilityBatch PurgeQueue AddPermission
        RemovePermission TagQueue UntagQueue""",
    "sts": "AssumeRole AssumeRoleWithWebIdentity",
}
# Operations that start work or deliver something: a provider runs each of them.
RUN: Mapping[str, str] = {
    "codebuild": "StartBuild StopBuild",
    "emr": "RunJobFlow AddJobFlowSteps TerminateJobFlows",
    "events": "PutEvents",
    "lambda": "DeleteFunction Invoke",
    "sagemaker": """
        CreateTrainingJob StopTrainingJob CreateProcessingJob StopProcessingJob CreatePipeline UpdatePipeline
        DeletePipeline StartPipelineExecution StopPipelineExecution CreateEndpoint UpdateEndpoint
        DeleteEndpoint UpdateEndpointWeightsAndCapacities""",
    "sagemaker-runtime": "InvokeEndpoint",
}
# Members of supported operations that nothing acts on, with what they would promise.
IGNORED_MEMBERS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("events", "PutRule"): {"ScheduleExpression": "scheduled rules; EventBridge Scheduler runs schedules"},
    ("sns", "Publish"): {"PhoneNumber": "text messages"},
    ("kms", "CreateKey"): {"MultiRegion": "multi-Region keys", "CustomKeyStoreId": "custom key stores"},
    ("lambda", "CreateFunction"): {
        "CapacityProviderConfig": "Lambda managed instances",
        "DurableConfig": "durable functions",
        "FileSystemConfigs": "file systems",
        "ImageConfig": "container images",
    },
}
_SUPPORTED = {
    service: frozenset(f"{STORED.get(service, '')} {RUN.get(service, '')}".split())
    for service in {*STORED, *RUN}
}


def is_supported(service: str, operation: str) -> bool:
    """Whether the emulator has an operation of one of its services."""
    if operation in _SUPPORTED[service]:
        return True
    return READ.fullmatch(operation) is not None and operation not in NOT_READ


def ignored_member(service: str, operation: str, parameters: Mapping[str, Any]) -> str | None:
    """Feature that a supported operation would promise without effect; None if there is none."""
    for member, feature in IGNORED_MEMBERS.get((service, operation), {}).items():
        if parameters.get(member) not in (None, False, [], {}):
            return f"{operation} with {member} ({feature})"
    return None
