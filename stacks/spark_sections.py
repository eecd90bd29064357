"""Sections of a stage's configuration for the preparation: Spark cluster, job, schedule and feature store."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from components.spark.cluster import Cluster
from components.spark.security import Database
from ml.settings.flags import as_flags
from ml.settings.preparation import FeatureStoreSettings
from ml.settings.stage_job import StageJob
from stacks.sections import Section

RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
# With the six characters that Secrets Manager appends: IAM policies match a secret by its full ARN.
SecretArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}$")
]
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+$")]


def _sized(cluster: Cluster) -> Cluster:
    """The cluster, if its nodes are large enough for the driver and the executors."""
    cluster.sizing()
    return cluster


class FeatureStoreConfig(Section):
    """MongoDB database that the job writes features to.

    Attributes:
        secret_arn: secret with the connection URI.
        kms_key_arn: key that encrypts the secret; null for the AWS managed key of Secrets Manager.
        database: name of the database.
        cidr_blocks, port: network location of the servers, or of private endpoints to them.
    """

    secret_arn: SecretArn
    kms_key_arn: KeyArn | None
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]  # MongoDB limits, database names
    cidr_blocks: tuple[str, ...]
    port: Annotated[int, Field(ge=1, le=65535)]

    @model_validator(mode="after")
    def _check_servers(self) -> Self:
        self.servers()
        return self

    def servers(self) -> Database:
        """Network location of the database."""
        return Database(cidr_blocks=self.cidr_blocks, port=self.port)

    def arguments(self) -> list[str]:
        """Flags of the job."""
        settings = FeatureStoreSettings(secret_arn=self.secret_arn, database=self.database)
        return list(as_flags(FeatureStoreSettings, vars(settings)))


class SparkConfig(Section):
    """Spark cluster, job and schedule of the preparation.

    Attributes:
        release: EMR release.
        cluster: nodes; primary and core are on demand, task is spot, and a unit is one vCPU.
        job: settings of the job.
        scheduler: launches the runs: EventBridge Scheduler at `cron`, or an external Airflow.
        airflow_principal_arn: role of Airflow's workers; null with EventBridge.
        cron, timezone: schedule.
        certificates_uri: zip of PEM certificates in S3, with which EMR encrypts HDFS and YARN; or null.
    """

    release: Annotated[str, Field(pattern=r"^emr-7\.\d+\.\d+$")]
    cluster: Annotated[Cluster, AfterValidator(_sized)]
    job: Annotated[StageJob, PlainValidator(StageJob.read)]
    scheduler: Literal["airflow", "eventbridge"]
    airflow_principal_arn: RoleArn | None
    cron: Annotated[str, Field(pattern=r"^cron\(\S+( \S+){5}\)$")]
    timezone: str
    certificates_uri: Annotated[str, Field(pattern=r"^s3://.+\.zip$")] | None

    @model_validator(mode="after")
    def _check_airflow_principal(self) -> Self:
        if self.scheduler == "airflow" and self.airflow_principal_arn is None:
            raise ValueError("airflow_principal_arn is null: write the ARN of the role of Airflow's workers")
        if self.scheduler != "airflow" and self.airflow_principal_arn is not None:
            raise ValueError(
                f"airflow_principal_arn is only for scheduler airflow, and scheduler is {self.scheduler}"
            )
        return self
