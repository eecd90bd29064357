"""Failures of EMR clusters, builds, executions and jobs, and changes of endpoint and registry.

Each ends before its own work begins, so that it takes milliseconds. The services send their events as ever.
"""

from __future__ import annotations

import json
from typing import Any

from ml import contract
from tests.polling import eventually
from tests.stacks.alarms.stage import StageUnderTest

ROLE = "aws:iam/role:Role"
MESSAGE = "no data"


def cluster_fails(stage: StageUnderTest) -> None:
    """The published job flow is launched, for input that its instances may not read."""
    s3, bucket = stage.client("s3"), stage.outputs["artifacts_bucket"]
    document = s3.get_object(Bucket=bucket, Key=contract.RUN_JOB_FLOW_KEY)["Body"].read().decode()
    request = json.loads(document.replace(contract.RUN_ID_PLACEHOLDER, "20261123T170000Z"))
    request["Steps"][0]["HadoopJarStep"]["Args"] += ["--input", "s3://other-bucket/interactions/"]
    emr = stage.client("emr")
    cluster = emr.run_job_flow(**request)["JobFlowId"]

    def has_failed() -> bool:
        status = emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
        return bool(status["State"] == "TERMINATED_WITH_ERRORS")

    eventually(has_failed, what="the cluster ends with an error")


def build_fails(stage: StageUnderTest) -> None:
    """A build starts, but nobody has published its source."""
    builds = stage.client("codebuild")
    started = builds.start_build(projectName=stage.outputs["codebuild_project"])["build"]["id"]

    def has_failed() -> bool:
        return bool(builds.batch_get_builds(ids=[started])["builds"][0]["buildStatus"] == "FAILED")

    eventually(has_failed, what="the build fails")


def execution_fails(stage: StageUnderTest) -> None:
    """The stage's pipeline has a step that fails."""
    sagemaker, name = stage.client("sagemaker"), stage.outputs["pipeline_name"]
    step = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": MESSAGE}}
    definition = {"Version": "2020-12-01", "Parameters": [], "Steps": [step]}
    sagemaker.create_pipeline(
        PipelineName=name,
        RoleArn=stage.resource(ROLE, "pipeline-role")["arn"],
        PipelineDefinition=json.dumps(definition),
    )
    arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]

    def has_failed() -> bool:
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        return bool(found["PipelineExecutionStatus"] == "Failed")

    eventually(has_failed, what="the execution fails")


def batch_job_fails(stage: StageUnderTest) -> None:
    """A job of the batch recommendations has an image that its role may not pull."""
    sagemaker = stage.client("sagemaker")
    number = len(sagemaker.list_processing_jobs()["ProcessingJobSummaries"])
    name = f"{stage.outputs['endpoint_name']}-batch-v{number}-1"
    cluster = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=stage.resource(ROLE, "batch-role")["arn"],
        AppSpecification={"ImageUri": "image", "ContainerEntrypoint": ["false"]},
        ProcessingResources={"ClusterConfig": cluster},
    )

    def has_failed() -> bool:
        found = sagemaker.describe_processing_job(ProcessingJobName=name)
        return bool(found["ProcessingJobStatus"] == "Failed")

    eventually(has_failed, what="the job fails")


def endpoint_changes(stage: StageUnderTest) -> None:
    """The endpoint is updated with the config that it has."""
    sagemaker, name = stage.client("sagemaker"), stage.outputs["endpoint_name"]
    config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)

    def has_ended() -> bool:
        return bool(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")

    eventually(has_ended, what="the update ends")


def package_is_approved(stage: StageUnderTest) -> None:
    """A person approves a package."""
    sagemaker = stage.client("sagemaker")
    container: dict[str, Any] = {
        "Image": "image",
        "ModelDataUrl": f"s3://{stage.outputs['artifacts_bucket']}/model.tar.gz",
    }
    arn = sagemaker.create_model_package(
        ModelPackageGroupName=stage.outputs["model_package_group"],
        InferenceSpecification={"Containers": [container], "SupportedContentTypes": ["application/json"]},
        ModelApprovalStatus="PendingManualApproval",
    )["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
