"""The platform of one stage: its slices, wired."""

from __future__ import annotations

import pulumi

from components.alarm import AlarmTopic, AlarmTopicArgs
from stacks.config import StageConfig
from stacks.operations import Operations, OperationsArgs
from stacks.preparation import Preparation, PreparationArgs
from stacks.serving import Serving, ServingArgs
from stacks.storage import Storage
from stacks.training import Training, TrainingArgs


class Platform:
    """A stage's slices, in the order in which each needs the ones before."""

    def __init__(self, stage: StageConfig) -> None:
        self.storage = Storage("storage", stage)
        self.alarms = AlarmTopic(
            "alarms",
            AlarmTopicArgs(
                kms_key_arn=self.storage.key.arn,
                account_id=self.storage.key.account_id,
                email=stage.operations.alarm_email,
            ),
        )
        topic = self.alarms.arn
        self.preparation = Preparation(
            "preparation", PreparationArgs(stage=stage, storage=self.storage, alarm_topic_arn=topic)
        )
        self.serving = Serving(
            "serving", ServingArgs(stage=stage, storage=self.storage, alarm_topic_arn=topic)
        )
        self.training = Training(
            "training",
            TrainingArgs(stage=stage, storage=self.storage, serving=self.serving, alarm_topic_arn=topic),
        )
        self.operations = Operations(
            "operations",
            OperationsArgs(
                stage=stage,
                preparation=self.preparation,
                training=self.training,
                serving=self.serving,
                alarm_topic_arn=topic,
            ),
        )

    def outputs(self) -> dict[str, pulumi.Input[str]]:
        """What people and other programs need to find the stage."""
        airflow = self.preparation.airflow_role_arn
        return {
            **({} if airflow is None else {"airflow_role_arn": airflow}),
            "api_url": self.serving.api.url,
            "endpoint_name": self.serving.endpoint.name,
            "data_bucket": self.storage.data.name,
            "artifacts_bucket": self.storage.artifacts.name,
            "logs_bucket": self.storage.logs.name,
            "kms_key_arn": self.storage.key.arn,
            "run_job_flow_uri": self.preparation.job.document_uri,
            "pipeline_name": self.training.pipeline_name,
            "model_package_group": self.storage.packages.name,
            "codebuild_project": self.training.build.name,
            "render_buildspec_function": self.training.render_buildspec.name,
            "deploy_model_function": self.serving.deploy_model.name,
            "recommend_function": self.serving.recommend.name,
            "alarm_topic_arn": self.alarms.arn,
            "dashboard_name": self.operations.dashboard.name,
        }
