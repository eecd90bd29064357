"""Training jobs: download the channels, run the container, upload model and output."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Any

from emulator.services.sagemaker.errors import MAX_FAILURE_REASON, not_emulated
from emulator.services.sagemaker.events import tag_map
from emulator.services.sagemaker.jobs.base import (
    TERMINAL_STATUSES,
    Job,
    Jobs,
    check_cluster,
    check_s3_input,
)
from emulator.services.sagemaker.jobs.checkpoints import CheckpointUpload
from emulator.services.sagemaker.jobs.container import (
    DEFAULT_MAX_RUNTIME_S,
    ContainerExit,
    JobFailedError,
    algorithm_error,
    command_of,
    log_stream,
)
from emulator.services.sagemaker.s3_files import S3FilesError, join_uri, pack
from emulator.services.sagemaker.times import now

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
DRIVER_CHANNEL = "sm_drivers"  # scripts of the SageMaker SDK; they contain absolute paths
DEFAULT_CHECKPOINT_PATH = "/opt/ml/checkpoints"  # API reference, CheckpointConfig
# Fields of the request that DescribeTrainingJob returns and moto does not store.
NOT_STORED_BY_MOTO = (
    "Environment",
    "RetryStrategy",
    "ProfilerConfig",
    "RemoteDebugConfig",
    "InfraCheckConfig",
)
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


class TrainingJob(Job):
    """One training job."""

    kind = "training-job"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        algorithm = self.spec["AlgorithmSpecification"]
        definitions = algorithm.get("MetricDefinitions") or []
        self._metrics = [(metric["Name"], re.compile(metric["Regex"])) for metric in definitions]
        self._last_values: dict[str, dict[str, Any]] = {}
        self._stream = log_stream(self.name)
        record = self.record
        record.algorithm_specification = algorithm  # moto adds a metric to it
        for key in NOT_STORED_BY_MOTO:
            setattr(record, _snake_case(key), self.spec.get(key))
        record.model_artifacts = {"S3ModelArtifacts": self._output_uri("model.tar.gz")}
        record.training_start_time = record.training_end_time = None
        record.final_metric_data_list = None
        record.secondary_status_transitions = []
        self._set_status("Starting", "InProgress")

    def on_line(self, line: str) -> None:
        """Send the line to CloudWatch Logs and to the job's metric definitions."""
        self.log(LOG_GROUP, self._stream, line)
        for name, regex in self._metrics:
            for match in regex.finditer(line):
                self._record_metric(name, match.group(1))

    def work(self) -> None:
        """Download the input, train, upload the results."""
        self._publish_state()
        algorithm = self.spec["AlgorithmSpecification"]
        volume_key = self.spec["ResourceConfig"].get("VolumeKmsKeyId")
        self.provision(algorithm.get("TrainingImage", ""), volume_key, LOG_GROUP, self._stream)
        self._set_status("Downloading")
        self.record.training_start_time = now()
        self._prepare()
        if not self.container.stopped:
            self._set_status("Training")
        max_runtime_s = self.spec["StoppingCondition"].get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
        command = command_of(self.spec["AlgorithmSpecification"])
        with self._checkpoint_upload():
            end = self.container.run(command, self._environment(), max_runtime_s)
        self.record.final_metric_data_list = list(self._last_values.values()) or None
        if end.exit_code != 0 and end.stopped_by is None:
            raise JobFailedError(self._failure_reason(end))
        if end.stopped_by is None:
            self._set_status("Uploading")
        self._upload_results()
        if end.stopped_by is None:
            self._end("Completed", "Completed")
        else:
            self._end("Stopped", "Stopped" if end.stopped_by == "request" else "MaxRuntimeExceeded")

    def fail(self, reason: str) -> None:
        """End the job with status Failed; its output folder is uploaded, its model is not."""
        self.record.failure_reason = reason[:MAX_FAILURE_REASON]
        with contextlib.suppress(S3FilesError):  # the failure reason is set already
            self._upload_archive("/opt/ml/output/data", "output.tar.gz")
        self._end("Failed", "Failed")

    def mark_stopping(self) -> None:
        """Set the job's status to Stopping."""
        self._set_status("Stopping", "Stopping")

    # -- files of the container -----------------------------------------------------------------
    def _prepare(self) -> None:
        for folder in ("/opt/ml/input/config", "/opt/ml/model", "/opt/ml/output/data"):
            self.files.folder(folder)
        channels = {}
        for channel in self.spec.get("InputDataConfig") or []:
            name = channel["ChannelName"]
            folder = f"/opt/ml/input/data/{name}"
            self.download(channel["DataSource"]["S3DataSource"]["S3Uri"], folder)
            if name == DRIVER_CHANNEL:
                self.files.reroot_files(folder)
            channels[name] = {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            }
        if checkpoints := self.spec.get("CheckpointConfig"):
            self._download_checkpoints(checkpoints)
        hyperparameters = self.files.reroot_all(self.spec.get("HyperParameters") or {})
        self.files.write_json("/opt/ml/input/config/hyperparameters.json", hyperparameters)
        self.files.write_json("/opt/ml/input/config/inputdataconfig.json", channels)
        self.files.write_json("/opt/ml/input/config/resourceconfig.json", self._resources())

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

    def _download_checkpoints(self, config: dict[str, str]) -> None:
        local_path, prefix = (
            config.get("LocalPath", DEFAULT_CHECKPOINT_PATH),
            config["S3Uri"].rstrip("/") + "/",
        )
        self.files.folder(local_path)
        if self.s3.count(prefix):
            self.download(prefix, local_path)

    def _checkpoint_upload(self) -> contextlib.AbstractContextManager[Any]:
        config = self.spec.get("CheckpointConfig")
        if not config:
            return contextlib.nullcontext()
        folder = self.files.folder(config.get("LocalPath", DEFAULT_CHECKPOINT_PATH))
        return CheckpointUpload(self.s3, folder, config["S3Uri"])

    def _upload_results(self) -> None:
        self._upload_archive("/opt/ml/model", "model.tar.gz", even_if_empty=True)
        self._upload_archive("/opt/ml/output/data", "output.tar.gz")

    def _upload_archive(self, container_path: str, name: str, *, even_if_empty: bool = False) -> None:
        folder = self.files.folder(container_path)
        if even_if_empty or any(folder.iterdir()):
            archive = self.files.root / name
            pack(folder, archive)
            key = self.spec["OutputDataConfig"].get("KmsKeyId")
            self.s3.upload_file(archive, self._output_uri(name), key)

    def _output_uri(self, name: str) -> str:
        return join_uri(self.spec["OutputDataConfig"]["S3OutputPath"], self.name, "output", name)

    # -- metrics, status and events ---------------------------------------------------------------
    def _record_metric(self, name: str, text: str) -> None:
        try:
            value = float(text)
        except ValueError:
            return  # CloudWatch ignores values that are not numbers, too
        self._last_values[name] = {"MetricName": name, "Value": value, "Timestamp": now()}

    def _failure_reason(self, end: ContainerExit) -> str:
        failure_file = self.files.read_text("/opt/ml/output/failure", MAX_FAILURE_REASON)
        return algorithm_error(failure_file or end.last_line, end.exit_code)

    def _set_status(self, secondary: str, status: str | None = None, moment: datetime | None = None) -> None:
        """Set the secondary status, and the status unless it is None; an ended job does not change."""
        record, moment = self.record, moment or now()
        transitions = record.secondary_status_transitions
        if status in (None, "Stopping") and transitions and record.training_job_status in TERMINAL_STATUSES:
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
        self._set_status(secondary, status, record.training_end_time)
        record.secondary_status_transitions[-1]["EndTime"] = record.training_end_time
        self._publish_state()

    def _publish_state(self) -> None:
        detail = {**self.record.response_object, "Tags": tag_map(self.record.tags)}
        self.events.publish("SageMaker Training Job State Change", detail, [self.record.arn])


class TrainingJobs(Jobs):
    """Training jobs of one region."""

    job_type = TrainingJob
    name_field = "TrainingJobName"
    noun = "Training job"

    def records(self) -> dict[str, Any]:
        """moto's training jobs."""
        return self.region.backend("sagemaker").training_jobs

    def check(self, spec: dict[str, Any]) -> None:
        """Check cluster, entrypoint and channels."""
        check_cluster(spec["ResourceConfig"])
        algorithm = spec["AlgorithmSpecification"]
        if not command_of(algorithm):
            raise not_emulated(
                "AlgorithmSpecification without ContainerEntrypoint (container images are not run)"
            )
        for channel in spec.get("InputDataConfig") or []:
            name = f"channel {channel['ChannelName']}"
            source = channel["DataSource"].get("S3DataSource")
            if source is None:
                raise not_emulated(f"{name}: a data source other than S3DataSource")
            mode = channel.get("InputMode") or algorithm.get("TrainingInputMode")
            check_s3_input(name, source.get("S3DataType"), mode)
            for key in ("CompressionType", "RecordWrapperType"):
                if channel.get(key) not in (None, "None"):
                    raise not_emulated(f"{name}: {key} {channel[key]}")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
