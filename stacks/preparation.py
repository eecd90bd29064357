"""From raw interactions to prepared runs: a private network, the Spark job and its schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.archives import file_asset, folder_files
from components.dead_letter_queue import DeadLetterQueue
from components.iam import PrincipalRole, PrincipalRoleArgs
from components.network import Network, NetworkArgs
from components.packing import zip_bytes
from components.schedule import SCHEDULED_TIME, Schedule, ScheduleArgs
from components.spark.job import SparkJob, SparkJobArgs
from components.spark.security import EMR_TAGS
from ml import contract
from stacks import paths
from stacks.config import StageConfig
from stacks.preparation_permissions import EMR_LOGS_PREFIX, launching_from_outside, preparing
from stacks.spark_packages import spark_packages
from stacks.storage import Storage


@dataclass(frozen=True, kw_only=True)
class PreparationArgs:
    """What the preparation needs of the stage and of other slices."""

    stage: StageConfig
    storage: Storage
    alarm_topic_arn: pulumi.Input[str]


class Preparation(pulumi.ComponentResource):
    """The preparation of a stage; its cluster is launched by Airflow, or by the schedule made here."""

    job: SparkJob
    job_name: str
    airflow_role_arn: pulumi.Output[str] | None
    dead_letter_queues: dict[str, DeadLetterQueue]

    def __init__(self, name: str, args: PreparationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ncf:slice:Preparation", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        stage, storage = args.stage, args.storage
        self.job_name = f"ncf-{stage.stage}-preparation"
        network = Network(
            "network",
            NetworkArgs(
                region=stage.region,
                cidr_block=stage.network.cidr_block,
                availability_zones=stage.network.availability_zones,
                interface_endpoints=interface_endpoints(stage),
                subnet_tags=EMR_TAGS,
            ),
            child,
        )
        self.job = SparkJob("preparation", self._job(stage, storage, network), child)
        self.airflow_role_arn, self.dead_letter_queues = None, {}
        if stage.spark.scheduler == "eventbridge":
            self.dead_letter_queues["preparation schedule"] = self._schedule(args, child).dead_letter_queue
        elif stage.spark.airflow_principal_arn is not None:
            self.airflow_role_arn = PrincipalRole(
                "airflow",
                PrincipalRoleArgs(
                    principal_arn=stage.spark.airflow_principal_arn,
                    allows=launching_from_outside(storage, self.job.permissions, args.alarm_topic_arn),
                ),
                child,
            ).arn
        self.register_outputs({})

    def _schedule(self, args: PreparationArgs, child: pulumi.ResourceOptions) -> Schedule:
        return Schedule(
            "preparation-schedule",
            ScheduleArgs(
                description=f"Launches {self.job_name}",
                expression=args.stage.spark.cron,
                timezone=args.stage.spark.timezone,
                action="emr:runJobFlow",
                # The preparation takes the ISO time that Scheduler writes as a run id.
                input=self.job.document.apply(
                    lambda text: text.replace(contract.RUN_ID_PLACEHOLDER, SCHEDULED_TIME)
                ),
                allows=self.job.permissions.launch(),
                account_id=args.storage.key.account_id,
                alarm_topic_arn=args.alarm_topic_arn,
            ),
            child,
        )

    def _job(self, stage: StageConfig, storage: Storage, network: Network) -> SparkJobArgs:
        spark, data, store = stage.spark, storage.data, stage.feature_store
        package = {
            f"{paths.ML_PACKAGE.name}/{name}": path.read_bytes()
            for name, path in folder_files(paths.ML_PACKAGE).items()
        }
        return SparkJobArgs(
            job_name=self.job_name,
            release=spark.release,
            code_bucket=storage.artifacts.name,
            code_prefix=contract.SPARK_PREFIX,
            package=file_asset(paths.BUILD / "ml.zip", zip_bytes(package)),
            packages=spark_packages(paths.SPARK_PACKAGES, paths.SPARK_LOCK),
            entry=pulumi.FileAsset(str(paths.SPARK_ENTRY)),
            arguments=[
                "--input",
                pulumi.Output.concat("s3://", data.name, "/", contract.RAW_PREFIX),
                "--output",
                pulumi.Output.concat("s3://", data.name, "/", contract.PREPARED_PREFIX),
                "--run-id",
                contract.RUN_ID_PLACEHOLDER,
                *spark.job.arguments(),
                *(store.arguments() if store else []),
            ],
            document_key=contract.RUN_JOB_FLOW_KEY,
            log_bucket=storage.logs.name,
            log_prefix=EMR_LOGS_PREFIX,
            kms_key_arn=storage.key.arn,
            certificates_uri=spark.certificates_uri,
            node_allows=preparing(storage, store),
            account_id=storage.key.account_id,
            vpc_id=network.vpc_id,
            subnet_ids=network.subnet_ids,
            s3_prefix_list_id=network.s3_prefix_list_id,
            endpoints_security_group_id=network.endpoints_security_group_id,
            database=store.reached_at() if store else None,
            cluster=spark.cluster.cluster(),
            tags=stage.tags.model_dump(),
        )


def interface_endpoints(stage: StageConfig) -> list[str]:
    """The services that the nodes reach: those of the stage, and the secrets where there is one to open."""
    services = [*stage.network.interface_endpoints, *(["secretsmanager"] if stage.feature_store else [])]
    return list(dict.fromkeys(services))
