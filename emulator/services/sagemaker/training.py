"""Training jobs: channels in, the container, model and output out."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from emulator.services.sagemaker.container import (
    DEFAULT_MAX_RUNTIME_S,
    ContainerEnd,
    JobFailedError,
    algorithm_error,
    command_of,
    log_stream,
)
from emulator.services.sagemaker.jobs import TERMINAL, JobBook, JobRun, check_cluster, check_s3_type
from emulator.services.sagemaker.site import MAX_FAILURE_REASON, jsonable, not_emulated, now, tag_map
from emulator.services.sagemaker.storage import StorageError, join_uri, pack

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
DRIVER_CHANNEL = "sm_drivers"  # the SageMaker SDK's own scripts, with absolute paths in them
CHECKPOINTS = "/opt/ml/checkpoints"
# What DescribeTrainingJob returns of the request and moto forgets.
KEPT = ("Environment", "RetryStrategy", "ProfilerConfig", "RemoteDebugConfig", "InfraCheckConfig")
STATUS_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


class TrainingRun(JobRun):
    """One training job."""

    kind = "training-job"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        algorithm = self.spec["AlgorithmSpecification"]
        definitions = algorithm.get("MetricDefinitions") or []
        self._metrics = [(metric["Name"], re.compile(metric["Regex"])) for metric in definitions]
        self._last: dict[str, dict[str, Any]] = {}
        self._stream = log_stream(self.name)
        record = self.record
        record.algorithm_specification = algorithm  # moto puts a metric of its own there
        for key in KEPT:
            setattr(record, _snake(key), self.spec.get(key))
        record.model_artifacts = {"S3ModelArtifacts": self._output_uri("model.tar.gz")}
        record.training_start_time = record.training_end_time = None
        record.final_metric_data_list = None
        record.secondary_status_transitions = []
        self._move("Starting", status="InProgress")

    def on_line(self, line: str) -> None:
        """To CloudWatch Logs, and through the job's metric definitions."""
        self.site.log(LOG_GROUP, self._stream, line)
        for name, regex in self._metrics:
            for match in regex.finditer(line):
                self._measure(name, match.group(1))

    def work(self) -> None:
        """Download, train, upload."""
        self._announce()
        self._move("Downloading")
        self.record.training_start_time = now()
        self._prepare()
        if not self.container.stopped:
            self._move("Training")
        stopping = self.spec["StoppingCondition"].get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
        end = self.container.run(
            command_of(self.spec["AlgorithmSpecification"]), self._environment(), stopping
        )
        self._save_checkpoints()
        self.record.final_metric_data_list = list(self._last.values()) or None
        if end.exit_code != 0 and end.stopped_by is None:
            raise JobFailedError(self._reason(end))
        if end.stopped_by is None:
            self._move("Uploading")
        self._upload()
        if end.stopped_by is None:
            self._end("Completed", "Completed")
        else:
            self._end("Stopped", "Stopped" if end.stopped_by == "request" else "MaxRuntimeExceeded")

    def fail(self, reason: str) -> None:
        """Ends the job as Failed; what it wrote to its output folder is kept, its model is not."""
        self.record.failure_reason = reason[:MAX_FAILURE_REASON]
        with contextlib.suppress(StorageError):  # the reason that counts is the one above
            self._upload_archive("/opt/ml/output/data", "output.tar.gz")
        self._end("Failed", "Failed")

    def request_stop(self) -> None:
        """Marks the job as Stopping."""
        self._move("Stopping", status="Stopping")

    # -- the container's files ------------------------------------------------------------------
    def _prepare(self) -> None:
        for folder in ("/opt/ml/input/config", "/opt/ml/model", "/opt/ml/output/data"):
            self.tree.folder(folder)
        channels = {}
        for channel in self.spec.get("InputDataConfig") or []:
            name = channel["ChannelName"]
            folder = f"/opt/ml/input/data/{name}"
            self.download(channel["DataSource"]["S3DataSource"]["S3Uri"], folder)
            if name == DRIVER_CHANNEL:
                self.tree.reroot_files(folder)
            channels[name] = {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            }
        if checkpoints := self.spec.get("CheckpointConfig"):
            self._load_checkpoints(checkpoints)
        hyperparameters = self.tree.reroot_all(self.spec.get("HyperParameters") or {})
        self.tree.write_json("/opt/ml/input/config/hyperparameters.json", hyperparameters)
        self.tree.write_json("/opt/ml/input/config/inputdataconfig.json", channels)
        self.tree.write_json("/opt/ml/input/config/resourceconfig.json", self._resources())

    def _resources(self) -> dict[str, Any]:
        instance_type = self.spec["ResourceConfig"].get("InstanceType", "ml.m5.large")
        group = {
            "instance_group_name": "homogeneousCluster",
            "instance_type": instance_type,
            "hosts": ["algo-1"],
        }
        return {
            "current_host": "algo-1",
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [group],
            "network_interface_name": "lo",
        }

    def _environment(self) -> dict[str, str]:
        return {
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": self.record.arn,
            **(self.spec.get("Environment") or {}),
        }

    def _load_checkpoints(self, config: dict[str, str]) -> None:
        local_path, prefix = config.get("LocalPath", CHECKPOINTS), config["S3Uri"].rstrip("/") + "/"
        self.tree.folder(local_path)
        if self.storage.count(prefix):
            self.download(prefix, local_path)

    def _save_checkpoints(self) -> None:
        if config := self.spec.get("CheckpointConfig"):
            folder = self.tree.folder(config.get("LocalPath", CHECKPOINTS))
            self.storage.upload_folder(folder, config["S3Uri"])

    def _upload(self) -> None:
        self._upload_archive("/opt/ml/model", "model.tar.gz", even_if_empty=True)
        self._upload_archive("/opt/ml/output/data", "output.tar.gz")

    def _upload_archive(self, container_path: str, name: str, *, even_if_empty: bool = False) -> None:
        folder = self.tree.folder(container_path)
        if even_if_empty or any(folder.iterdir()):
            archive = self.tree.root / name
            pack(folder, archive)
            key = self.spec["OutputDataConfig"].get("KmsKeyId")
            self.storage.upload_file(archive, self._output_uri(name), key)

    def _output_uri(self, name: str) -> str:
        return join_uri(self.spec["OutputDataConfig"]["S3OutputPath"], self.name, "output", name)

    # -- what is told about it ------------------------------------------------------------------
    def _measure(self, name: str, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return  # CloudWatch drops what is no number, too
        self._last[name] = {"MetricName": name, "Value": value, "Timestamp": now()}

    def _reason(self, end: ContainerEnd) -> str:
        said = self.tree.read_text("/opt/ml/output/failure", MAX_FAILURE_REASON)
        return algorithm_error(said or end.last_line, end.exit_code)

    def _move(self, secondary: str, status: str | None = None) -> None:
        """The job's next secondary status; a finished job stays as it is."""
        record, moment = self.record, now()
        transitions = record.secondary_status_transitions
        if status in (None, "Stopping") and transitions and record.training_job_status in TERMINAL:
            return
        if transitions:
            transitions[-1].setdefault("EndTime", moment)
        entry = {"Status": secondary, "StartTime": moment, "StatusMessage": STATUS_MESSAGES[secondary]}
        record.secondary_status_transitions = [*transitions, entry]
        record.secondary_status = secondary
        record.training_job_status = status or record.training_job_status
        record.last_modified_time = moment

    def _end(self, status: str, secondary: str) -> None:
        record = self.record
        record.training_end_time = now()
        if record.training_start_time is not None:
            seconds = round((record.training_end_time - record.training_start_time).total_seconds())
            record.training_time_in_seconds = record.billable_time_in_seconds = max(1, seconds)
        self._move(secondary, status=status)
        record.secondary_status_transitions[-1]["EndTime"] = record.training_end_time
        self._announce()

    def _announce(self) -> None:
        detail = {**self.record.response_object, "Tags": tag_map(self.record.tags)}
        self.site.emit("SageMaker Training Job State Change", jsonable(detail), [self.record.arn])


class TrainingJobs(JobBook):
    """The training jobs of one region."""

    run_type = TrainingRun
    name_key = "TrainingJobName"
    noun = "Training job"

    def records(self) -> dict[str, Any]:
        """moto's training jobs."""
        return self.site.backend.training_jobs

    def check(self, spec: dict[str, Any]) -> None:
        """Refuses what can't be run here."""
        check_cluster(spec["ResourceConfig"])
        algorithm = spec["AlgorithmSpecification"]
        if not command_of(algorithm):
            raise not_emulated(
                "AlgorithmSpecification without ContainerEntrypoint: no container image is run here; it"
            )
        for channel in spec.get("InputDataConfig") or []:
            where = f"channel {channel['ChannelName']}"
            source = channel["DataSource"].get("S3DataSource")
            if source is None:
                raise not_emulated(f"{where}: a data source other than S3DataSource")
            mode = channel.get("InputMode") or algorithm.get("TrainingInputMode")
            check_s3_type(where, source.get("S3DataType"), mode)
            for key in ("CompressionType", "RecordWrapperType"):
                if channel.get(key) not in (None, "None"):
                    raise not_emulated(f"{where}: {key} {channel[key]}")


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
