"""From raw interactions to prepared runs: a private network, the Spark job and its schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.archives import file_asset, folder_files, zip_bytes
from components.network import Network, NetworkArgs
from components.run_job_flow import Cluster, NodeGroup
from components.schedule import SCHEDULED_TIME, Schedule, ScheduleArgs
from components.spark_job import SparkJob, SparkJobArgs
from components.spark_security import EMR_TAGS
from ml import contract
from stacks import paths
from stacks.config import StageConfig
from stacks.sections import NodeGroupConfig
from stacks.storage import Storage

EMR_LOGS_PREFIX = "emr/"


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
                interface_endpoints=stage.network.interface_endpoints,
                subnet_tags=EMR_TAGS,
            ),
            child,
        )
        self.job = SparkJob("preparation", self._job(stage, storage, network), child)
        if stage.spark.scheduler == "eventbridge":
            Schedule(
                "preparation-schedule",
                ScheduleArgs(
                    description=f"Launches {self.job_name}",
                    expression=stage.spark.cron,
                    timezone=stage.spark.timezone,
                    action="emr:runJobFlow",
                    # The preparation takes the ISO time that Scheduler writes as a run id.
                    input=self.job.document.apply(
                        lambda text: text.replace(contract.RUN_ID_PLACEHOLDER, SCHEDULED_TIME)
                    ),
                    allows=self.job.launch(),
                    account_id=storage.key.account_id,
                    alarm_topic_arn=args.alarm_topic_arn,
                ),
                child,
            )
        self.register_outputs({})

    def _job(self, stage: StageConfig, storage: Storage, network: Network) -> SparkJobArgs:
        spark, data = stage.spark, storage.data
        raw, prepared = contract.RAW_PREFIX.rstrip("/"), contract.PREPARED_PREFIX.rstrip("/")
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
            entry=pulumi.FileAsset(str(paths.SPARK_ENTRY)),
            arguments=[
                "--input",
                pulumi.Output.concat("s3://", data.name, "/", contract.RAW_PREFIX),
                "--output",
                pulumi.Output.concat("s3://", data.name, "/", contract.PREPARED_PREFIX),
                "--run-id",
                contract.RUN_ID_PLACEHOLDER,
                "--min-interactions",
                str(spark.min_interactions),
                "--max-quarantined-share",
                str(spark.max_quarantined_share),
            ],
            document_key=contract.RUN_JOB_FLOW_KEY,
            log_bucket=storage.logs.name,
            log_prefix=EMR_LOGS_PREFIX,
            kms_key_arn=storage.key.arn,
            certificates_uri=spark.certificates_uri,
            # Hadoop looks a folder up as the key without its slash, so that one is granted too.
            node_allows=[
                data.read(raw),
                data.list_keys(raw),
                data.read(prepared),
                data.write(prepared),
                data.delete(prepared),
                data.list_keys(prepared),
                data.list_uploads(),
                storage.artifacts.read(contract.SPARK_PREFIX),
                storage.artifacts.list_keys(contract.SPARK_PREFIX.rstrip("/")),
                storage.logs.write(EMR_LOGS_PREFIX),
                storage.key.encrypt(),
            ],
            account_id=storage.key.account_id,
            vpc_id=network.vpc_id,
            subnet_id=network.subnet_ids[0],
            s3_prefix_list_id=network.s3_prefix_list_id,
            endpoints_security_group_id=network.endpoints_security_group_id,
            cluster=Cluster(primary=_nodes(spark.primary), core=_nodes(spark.core), task=_nodes(spark.task)),
            tags=stage.tags.model_dump(),
        )


def _nodes(config: NodeGroupConfig) -> NodeGroup:
    return NodeGroup(instance_type=config.instance_type, count=config.count, market=config.market)
