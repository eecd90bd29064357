"""Definition of the pipeline, as the JSON that SageMaker receives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ml import contract
from ml.pipeline.aws import aws_session
from ml.pipeline.environment import PipelineStage, Run
from ml.pipeline.execution import parameter_values
from ml.pipeline.session import DRIVERS_PREFIX, DefinitionSession
from ml.settings.gate import GateSettings
from ml.settings.metrics import METRICS
from tests.ml.pipeline.conftest import ENVIRONMENT, environment

pytestmark = pytest.mark.filterwarnings("ignore:::sagemaker")  # deprecation warnings inside the SDK

KMS_KEY = ENVIRONMENT[contract.ENV_KMS_KEY_ARN]
ARTIFACTS = ENVIRONMENT[contract.ENV_ARTIFACTS_BUCKET]
PATH = [
    contract.STEP_TRAINING,
    contract.STEP_EVALUATION,
    contract.STEP_QUALITY_GATE,
    contract.STEP_REGISTER,
    contract.STEP_CREATE_MODEL,
    contract.STEP_DEPLOY,
]


def compiled(upload: bool = False, **training: Any) -> dict[str, Any]:
    """The definition of a stage with changed training settings; needs the fixture ``aws``."""
    from ml.pipeline.definition import compile_definition  # importing the SDK needs a region

    stage = PipelineStage.from_environment(environment(**training))
    session = DefinitionSession(aws_session(stage.region), stage.artifacts_bucket, upload=upload)
    return compile_definition(stage, session)


@pytest.fixture(scope="module")
def definition(aws: None) -> dict[str, Any]:
    boto3.client("s3").create_bucket(
        Bucket=ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
    )
    return compiled(upload=True)


@pytest.fixture(scope="module")
def other(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition of a stage that differs in every setting that changes its structure, without uploads."""
    return compiled(use_spot=False, approval="manual", hyperparameters={"epochs": 11})


@pytest.fixture(scope="module")
def steps(definition: dict[str, Any]) -> dict[str, Any]:
    return {step["Name"]: step for step in all_steps(definition["Steps"])}


def all_steps(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        yield from all_steps(step["Arguments"].get("IfSteps", []) + step["Arguments"].get("ElseSteps", []))


def references(node: Any) -> Iterator[str]:
    """Names of the steps that a part of the definition refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("Get"), str) and node["Get"].startswith("Steps."):
            yield node["Get"].split(".")[1]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_steps_are_the_seven_of_the_contract(steps: dict[str, Any]) -> None:
    assert {name: step["Type"] for name, step in steps.items()} == {
        contract.STEP_TRAINING: "Training",
        contract.STEP_EVALUATION: "Processing",
        contract.STEP_QUALITY_GATE: "Condition",
        contract.STEP_REGISTER: "RegisterModel",
        contract.STEP_CREATE_MODEL: "Model",
        contract.STEP_DEPLOY: "Lambda",
        contract.STEP_REJECTED: "Lambda",  # a Fail step would send failure notifications
    }


def test_steps_depend_on_each_other_in_order(steps: dict[str, Any]) -> None:
    gate = steps[contract.STEP_QUALITY_GATE]["Arguments"]
    assert [step["Name"] for step in gate["IfSteps"]] == PATH[3:]
    assert [step["Name"] for step in gate["ElseSteps"]] == [contract.STEP_REJECTED]
    assert contract.STEP_TRAINING in references(steps[contract.STEP_EVALUATION])
    assert set(references(gate["Conditions"])) == {contract.STEP_EVALUATION}
    assert steps[contract.STEP_CREATE_MODEL]["DependsOn"] == [contract.STEP_REGISTER]
    assert set(references(steps[contract.STEP_DEPLOY])) == set(PATH[3:5])


def test_gate_tests_the_decision_of_the_evaluation_and_the_memory(steps: dict[str, Any]) -> None:
    conditions = steps[contract.STEP_QUALITY_GATE]["Arguments"]["Conditions"]
    found = [(each["LeftValue"]["Std:JsonGet"]["Path"], each["RightValue"]) for each in conditions]
    assert found == [("gate.margin", 0), ("serving.free_mib", 0)]
    assert {each["Type"] for each in conditions} == {"GreaterThanOrEqualTo"}
    (report,) = steps[contract.STEP_EVALUATION]["PropertyFiles"]
    assert report["FilePath"] == contract.EVALUATION_FILE
    arguments = steps[contract.STEP_EVALUATION]["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert GateSettings.from_json(arguments[arguments.index("--gate") + 1]) == GateSettings(
        floors={"hr_at_10": 0.5, "ndcg_at_10": 0.25}, tolerance={"hr_at_10": 0.01, "ndcg_at_10": 0.02}
    )
    assert arguments[arguments.index("--serving-instance-type") + 1] == "ml.c5.large"
    assert arguments[arguments.index("--stage") + 1] == "dev"
    assert max(map(len, arguments)) <= 256  # SageMaker API, ContainerArgument


def test_training_reads_the_channels_of_the_contract_and_the_code(steps: dict[str, Any]) -> None:
    channels = steps[contract.STEP_TRAINING]["Arguments"]["InputDataConfig"]
    assert {channel["ChannelName"] for channel in channels} == {
        *contract.TRAINING_CHANNELS,
        "code",
        "sm_drivers",
    }
    uris = {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels}
    data_uri = {"Get": "Parameters.DataUri"}
    assert uris["train"] == {"Std:Join": {"On": "/", "Values": [data_uri, "train", ""]}}
    assert uris["users"] == {"Std:Join": {"On": "/", "Values": [data_uri, contract.USERS_FILE]}}
    assert uris["code"] == {"Get": "Parameters.SourceUri"}


def test_training_reports_every_metric(steps: dict[str, Any]) -> None:
    metrics = steps[contract.STEP_TRAINING]["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert {each["Name"]: each["Regex"] for each in metrics} == {
        metric.label: metric.regex for metric in METRICS
    }


def test_hyperparameters_reach_the_job_and_its_command(definition: dict[str, Any], steps: Any) -> None:
    assert steps[contract.STEP_TRAINING]["Arguments"]["HyperParameters"] == {
        "epochs": "10",
        "lr": "0.001",
        "batch_size": "256",
        "preset": "lotteon",
    }
    s3 = boto3.client("s3")
    (script,) = (key for key in uploaded(s3) if key.endswith("/sm_train.sh"))
    text = s3.get_object(Bucket=ARTIFACTS, Key=script)["Body"].read().decode()
    arguments = (
        "--epochs 10 --lr 0.001 --batch-size 256 --preset lotteon --checkpoint-dir /opt/ml/checkpoints"
    )
    assert f"\npython3 -m ml.ncf.jobs.train {arguments}\n" in text


def test_spot_training_has_a_maximum_wait_and_checkpoints(steps: dict[str, Any]) -> None:
    arguments = steps[contract.STEP_TRAINING]["Arguments"]
    assert arguments["EnableManagedSpotTraining"] is True
    assert arguments["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 7200,
        "MaxWaitTimeInSeconds": 14400,
    }
    # A run that is started again must not continue from the checkpoints of an execution with other code.
    assert arguments["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"][-2:] == [
        "checkpoints",
        {"Get": "Execution.PipelineExecutionId"},
    ]
    # The folder that SageMaker copies; the job gets it as --checkpoint-dir (test above).
    assert arguments["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"


def test_on_demand_training_has_no_wait_and_no_checkpoints(other: dict[str, Any]) -> None:
    arguments = other["Steps"][0]["Arguments"]
    assert not arguments["EnableManagedSpotTraining"]
    assert "MaxWaitTimeInSeconds" not in arguments["StoppingCondition"]
    assert "CheckpointConfig" not in arguments


def test_volumes_and_outputs_are_encrypted_with_the_stage_key(steps: dict[str, Any]) -> None:
    training = steps[contract.STEP_TRAINING]["Arguments"]
    evaluation = steps[contract.STEP_EVALUATION]["Arguments"]
    assert training["ResourceConfig"]["VolumeKmsKeyId"] == KMS_KEY
    assert training["OutputDataConfig"]["KmsKeyId"] == KMS_KEY
    assert evaluation["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == KMS_KEY
    assert evaluation["ProcessingOutputConfig"]["KmsKeyId"] == KMS_KEY


def test_training_and_serving_containers_have_no_network(steps: dict[str, Any]) -> None:
    assert steps[contract.STEP_TRAINING]["Arguments"]["EnableNetworkIsolation"] is True
    assert steps[contract.STEP_CREATE_MODEL]["Arguments"]["EnableNetworkIsolation"] is True


def test_each_step_runs_with_its_role(steps: dict[str, Any]) -> None:
    job_role, model_role = ENVIRONMENT[contract.ENV_JOB_ROLE_ARN], ENVIRONMENT[contract.ENV_MODEL_ROLE_ARN]
    assert steps[contract.STEP_TRAINING]["Arguments"]["RoleArn"] == job_role
    assert steps[contract.STEP_EVALUATION]["Arguments"]["RoleArn"] == job_role
    assert steps[contract.STEP_CREATE_MODEL]["Arguments"]["ExecutionRoleArn"] == model_role


def test_jobs_and_models_have_the_stage_tags(steps: dict[str, Any]) -> None:
    for name in (contract.STEP_TRAINING, contract.STEP_EVALUATION, contract.STEP_CREATE_MODEL):
        tags = {tag["Key"]: tag["Value"] for tag in steps[name]["Arguments"]["Tags"]}
        assert tags == {"Owner": "recommendation", "Service": "ncf"}


def test_steps_are_retried_after_service_faults(steps: dict[str, Any]) -> None:
    for name in (PATH[0], PATH[1], PATH[3], PATH[4]):
        kinds = {kind for policy in steps[name]["RetryPolicies"] for kind in policy["ExceptionType"]}
        assert {"Step.SERVICE_FAULT", "Step.THROTTLING"} <= kinds
        assert ("SageMaker.CAPACITY_ERROR" in kinds) == (name in PATH[:2])


def test_model_package_has_metrics_run_id_and_code_version(steps: dict[str, Any]) -> None:
    arguments = steps[contract.STEP_REGISTER]["Arguments"]
    assert arguments["ModelPackageGroupName"] == "NCF-dev"
    assert arguments["ModelApprovalStatus"] == "Approved"
    assert arguments["CustomerMetadataProperties"] == {
        "run_id": {"Get": "Parameters.RunId"},
        "code_version": {"Get": "Parameters.CodeVersion"},
        "source_uri": {"Get": "Parameters.SourceUri"},
    }
    report = arguments["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]["Std:Join"]["Values"]
    assert report == [{"Get": "Parameters.OutputUri"}, "evaluation", contract.EVALUATION_FILE]


def test_manual_approval_registers_packages_pending_approval(other: dict[str, Any]) -> None:
    gate = other["Steps"][2]["Arguments"]
    assert gate["IfSteps"][0]["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"


def test_deploy_step_invokes_the_function_by_its_arn(steps: dict[str, Any]) -> None:
    deploy = steps[contract.STEP_DEPLOY]
    assert deploy["FunctionArn"] == ENVIRONMENT[contract.ENV_DEPLOY_FUNCTION_ARN]
    assert deploy["Arguments"] == {
        "model_package_arn": {"Get": f"Steps.{contract.STEP_REGISTER}.ModelPackageArn"},
        "model_name": {"Get": f"Steps.{contract.STEP_CREATE_MODEL}.ModelName"},
    }


def test_rejected_candidate_is_reported_from_its_evaluation(steps: dict[str, Any]) -> None:
    rejected = steps[contract.STEP_REJECTED]
    assert rejected["FunctionArn"] == ENVIRONMENT[contract.ENV_REJECTION_FUNCTION_ARN]
    arguments = rejected["Arguments"]
    report = {
        "Std:Join": {"On": "/", "Values": [{"Get": "Parameters.OutputUri"}, "evaluation", "evaluation.json"]}
    }
    assert (arguments["run_id"], arguments["report_uri"]) == ({"Get": "Parameters.RunId"}, report)
    assert [each["OutputName"] for each in rejected["OutputParameters"]] == [contract.REJECTION_SUMMARY]


def test_parameters_are_those_that_a_start_sets(
    definition: dict[str, Any], stage: PipelineStage, run: Run
) -> None:
    declared = {each["Name"]: each["Type"] for each in definition["Parameters"]}
    assert declared == dict.fromkeys(parameter_values(stage, run), "String")
    assert not any("DefaultValue" in each for each in definition["Parameters"])


def test_definition_has_no_value_of_a_run(definition: dict[str, Any], run: Run) -> None:
    text = json.dumps(definition)
    assert run.run_id not in text
    assert run.code_version not in text


def test_uris_are_in_the_stage_buckets(definition: dict[str, Any]) -> None:
    uris = [text for text in texts(definition) if text.startswith("s3://")]
    assert uris
    assert all(uri.startswith(f"s3://{ARTIFACTS}/{DRIVERS_PREFIX}") for uri in uris)


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)


def test_equal_settings_give_equal_definitions_and_one_upload(definition: dict[str, Any]) -> None:
    before = set(uploaded(boto3.client("s3")))
    assert compiled(upload=True) == definition
    assert set(uploaded(boto3.client("s3"))) == before


def test_other_settings_give_another_definition_and_no_upload_when_disabled(
    definition: dict[str, Any], other: dict[str, Any]
) -> None:
    def drivers(of: dict[str, Any]) -> str:
        channels = of["Steps"][0]["Arguments"]["InputDataConfig"]
        return channels[-1]["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{ARTIFACTS}/")

    assert drivers(other) != drivers(definition)
    keys = uploaded(boto3.client("s3"))
    assert any(key.startswith(drivers(definition)) for key in keys)
    assert not any(key.startswith(drivers(other)) for key in keys)


def uploaded(s3: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=ARTIFACTS, Prefix=DRIVERS_PREFIX)["Contents"]]
