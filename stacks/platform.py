"""The platform of one stage: its slices and the stack outputs."""

from __future__ import annotations

import pulumi

from components.alarm import AlarmTopic, AlarmTopicArgs
from ml.settings.training import PipelineSettings
from stacks.config import StageConfig
from stacks.functions import FunctionDefaults
from stacks.operations import Operations, OperationsArgs
from stacks.preparation import Preparation, PreparationArgs
from stacks.serving import Serving, ServingArgs
from stacks.storage import Storage, StorageArgs
from stacks.training import Training, TrainingArgs


class Platform:
    """Slices of a stage, created in the order of their dependencies."""

    def __init__(self, stage: StageConfig) -> None:
        self.storage = Storage(
            "storage",
            StorageArgs(stage_name=stage.stage, config=stage.storage, protect=stage.protect_data),
        )
        key = self.storage.key
        self.alarms = AlarmTopic(
            "alarms",
            AlarmTopicArgs(
                kms_key_arn=key.arn, account_id=key.account_id, email=stage.operations.alarm_email
            ),
        )
        functions = FunctionDefaults(
            kms_key_arn=key.arn,
            layer_arns=[stage.functions.powertools_layer_arn],
            log_retention_days=stage.storage.log_retention_days,
            alarm_topic_arn=self.alarms.arn,
        )
        self.preparation = self._preparation(stage)
        self.serving = self._serving(stage, functions)
        self.training = self._training(stage, functions)
        self.operations = Operations(
            "operations",
            OperationsArgs(
                stage_name=stage.stage,
                region=stage.region,
                config=stage.operations,
                timezone=stage.spark.timezone,
                monitoring=stage.monitoring,
                functions=functions,
                storage=self.storage,
                preparation=self.preparation,
                training=self.training,
                serving=self.serving,
                alarm_topic_arn=self.alarms.arn,
            ),
        )

    def _preparation(self, stage: StageConfig) -> Preparation:
        return Preparation(
            "preparation",
            PreparationArgs(
                stage_name=stage.stage,
                region=stage.region,
                network=stage.network,
                spark=stage.spark,
                feature_store=stage.feature_store,
                tags=stage.tags,
                storage=self.storage,
                alarm_topic_arn=self.alarms.arn,
            ),
        )

    def _serving(self, stage: StageConfig, functions: FunctionDefaults) -> Serving:
        return Serving(
            "serving",
            ServingArgs(
                stage_name=stage.stage,
                region=stage.region,
                image=stage.serving.image(stage.region),
                serving=stage.serving,
                api=stage.api,
                event_weights=stage.spark.job.values.get("event_weights", {}),
                batch=stage.batch_recommendations,
                batch_image=stage.training.image(stage.region, stage.batch_recommendations.instance_type),
                feature_store=stage.feature_store,
                network=self.preparation.network,
                tags=stage.tags.model_dump(),
                recommend_concurrency=stage.functions.recommend_concurrency,
                functions=functions,
                log_retention_days=stage.storage.log_retention_days,
                storage=self.storage,
                alarm_topic_arn=self.alarms.arn,
            ),
        )

    def _training(self, stage: StageConfig, functions: FunctionDefaults) -> Training:
        return Training(
            "training",
            TrainingArgs(
                stage_name=stage.stage,
                region=stage.region,
                settings=pipeline_settings(stage),
                build=stage.training.build,
                functions=functions,
                log_retention_days=stage.storage.log_retention_days,
                storage=self.storage,
                serving=self.serving,
                alarm_topic_arn=self.alarms.arn,
            ),
        )

    def outputs(self) -> dict[str, pulumi.Input[str]]:
        """Stack outputs: names, ARNs and URLs of the stage's resources, for operators and other programs."""
        airflow, batch = self.preparation.airflow_role_arn, self.serving.batch
        return {
            **({} if airflow is None else {"airflow_role_arn": airflow}),
            **({} if batch is None else {"batch_recommendations_uri": batch.uri}),
            "api_url": self.serving.api.url,
            "endpoint_name": self.serving.endpoint.name,
            "data_bucket": self.storage.data.name,
            "artifacts_bucket": self.storage.artifacts.name,
            "logs_bucket": self.storage.logs.name,
            "kms_key_arn": self.storage.key.arn,
            "run_job_flow_uri": self.preparation.job.document_uri,
            "preparation_job": self.preparation.job_name,
            "pipeline_name": self.training.pipeline_name,
            "model_package_group": self.storage.packages.name,
            "codebuild_project": self.training.build.name,
            "alarm_topic_arn": self.alarms.arn,
            "dashboard_name": self.operations.dashboard.name,
            "api_log_group": self.serving.api.log_group_name,
            "endpoint_log_group": self.serving.endpoint.log_group_name,
            "codebuild_log_group": self.training.build.log_group_name,
            **self._function_outputs(),
            **self._queue_outputs(),
        }

    def _function_outputs(self) -> dict[str, pulumi.Input[str]]:
        """Name and log group of each Lambda function, such as `recommend_function`, `recommend_log_group`."""
        functions = {**self.training.functions, **self.serving.functions, **self.operations.functions}
        return {
            key: value
            for label, function in functions.items()
            for key, value in (
                (f"{_identifier(label)}_function", function.name),
                (f"{_identifier(label)}_log_group", function.log_group_name),
            )
        }

    def _queue_outputs(self) -> dict[str, pulumi.Input[str]]:
        """URL of each dead-letter queue, such as `run_prepared_dead_letter_queue_url`."""
        functions = {**self.training.functions, **self.serving.functions, **self.operations.functions}
        queues = {
            **{label: function.dead_letter_queue for label, function in functions.items()},
            **self.preparation.dead_letter_queues,
            **self.training.dead_letter_queues,
            **self.serving.dead_letter_queues,
            **self.operations.dead_letter_queues,
        }
        return {f"{_identifier(label)}_dead_letter_queue_url": queue.url for label, queue in queues.items()}


def _identifier(label: str) -> str:
    return label.replace(" ", "_")


def pipeline_settings(stage: StageConfig) -> PipelineSettings:
    """Settings of `ml.pipeline`, which CodeBuild passes as NCF_TRAINING."""
    return PipelineSettings.of_stage(
        stage.training,
        serving_instance_type=stage.serving.instance_type,
        serving_image=stage.serving.image(stage.region),
        tags=stage.tags.model_dump(),
    )
