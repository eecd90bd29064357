"""The sections of a stage's configuration that the preparation reads: cluster, job and feature store."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from components.spark.cluster import Cluster, Fleet, Scaling, Spot
from components.spark.instance_types import instance_type
from components.spark.security import Database
from ml.settings.fields import as_flags
from ml.settings.preparation import FeatureStoreSettings, StageJob
from stacks.sections import Section


def _known(name: str) -> str:
    instance_type(name)
    return name


InstanceTypes = Annotated[tuple[Annotated[str, AfterValidator(_known)], ...], Field(min_length=1)]
Units = Annotated[int, Field(ge=0)]
RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
# With the six characters that Secrets Manager adds: IAM knows a secret by its whole ARN.
SecretArn = Annotated[
    str, Field(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}$")
]
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+$")]


class PrimaryConfig(Section):
    """The primary node: one, of any of these types."""

    instance_types: InstanceTypes


class FleetConfig(Section):
    """Core or task nodes: so many vCPUs to start with, of any of these types."""

    instance_types: InstanceTypes
    units: Units

    @model_validator(mode="after")
    def _is_a_fleet(self) -> Self:
        self.fleet()
        return self

    def fleet(self) -> Fleet:
        """As the component takes it."""
        return Fleet(instance_types=self.instance_types, units=self.units)


class SpotConfig(Section):
    """How long EMR looks for spot nodes, and what it does without."""

    timeout_minutes: int
    otherwise: Literal["on_demand", "fail"]


class ScalingConfig(Section):
    """Bounds, in vCPUs, on core and task nodes together."""

    min_units: Units
    max_units: Units
    max_core_units: Units
    max_on_demand_units: Units


class ClusterConfig(Section):
    """The nodes of the Spark cluster. Primary and core are on demand, task is spot; a unit is one vCPU."""

    primary: PrimaryConfig
    core: FleetConfig
    task: FleetConfig
    spot: SpotConfig
    scaling: ScalingConfig
    volume_gib: Annotated[int, Field(ge=10, le=16384)]
    idle_timeout_s: Annotated[int, Field(ge=60, le=604_800)]  # EMR API, AutoTerminationPolicy

    @model_validator(mode="after")
    def _can_hold_a_run(self) -> Self:
        self.cluster().sizing()
        return self

    def cluster(self) -> Cluster:
        """As the component takes it."""
        return Cluster(
            primary=Fleet(instance_types=self.primary.instance_types),
            core=self.core.fleet(),
            task=self.task.fleet(),
            spot=Spot(timeout_minutes=self.spot.timeout_minutes, otherwise=self.spot.otherwise),
            scaling=Scaling(**self.scaling.model_dump()),
            volume_gib=self.volume_gib,
            idle_timeout_s=self.idle_timeout_s,
        )


class FeatureStoreConfig(Section):
    """MongoDB, to which the job writes features.

    `secret_arn` holds the connection URI; `kms_key_arn` encrypts the secret, and is null where Secrets
    Manager's own key does. `cidr_blocks` and `port` say where the servers, or private endpoints to them, are.
    """

    secret_arn: SecretArn
    kms_key_arn: KeyArn | None
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]  # MongoDB limits, database names
    cidr_blocks: tuple[str, ...]
    port: Annotated[int, Field(ge=1, le=65535)]

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        self.reached_at()
        return self

    def reached_at(self) -> Database:
        """As the component takes it."""
        return Database(cidr_blocks=self.cidr_blocks, port=self.port)

    def arguments(self) -> list[str]:
        """The job's flags."""
        store = FeatureStoreSettings(secret_arn=self.secret_arn, database=self.database)
        return list(as_flags(FeatureStoreSettings, vars(store)))


class SparkConfig(Section):
    """The preparation: its cluster, its job and its schedule.

    `scheduler` says who launches runs: Airflow from outside, whose workers have the role
    `airflow_principal_arn`, or EventBridge Scheduler at `cron`.
    """

    release: Annotated[str, Field(pattern=r"^emr-7\.\d+\.\d+$")]
    cluster: ClusterConfig
    job: Annotated[StageJob, PlainValidator(StageJob.read)]
    scheduler: Literal["airflow", "eventbridge"]
    airflow_principal_arn: RoleArn | None
    cron: Annotated[str, Field(pattern=r"^cron\(\S+( \S+){5}\)$")]
    timezone: str
    certificates_uri: Annotated[str, Field(pattern=r"^s3://.+\.zip$")] | None

    @model_validator(mode="after")
    def _airflow_has_a_principal(self) -> Self:
        if self.scheduler == "airflow" and self.airflow_principal_arn is None:
            raise ValueError("airflow_principal_arn is null: write the role that Airflow's workers have")
        if self.scheduler != "airflow" and self.airflow_principal_arn is not None:
            raise ValueError(f"airflow_principal_arn is for scheduler airflow, and it is {self.scheduler}")
        return self
