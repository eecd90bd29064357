"""Processing jobs: download the inputs, run the container, upload the outputs."""

from __future__ import annotations

from typing import Any

from emulator.services.sagemaker.errors import MAX_FAILURE_REASON, not_emulated
from emulator.services.sagemaker.events import tag_map
from emulator.services.sagemaker.jobs.base import Job, Jobs, check_cluster, check_s3_input
from emulator.services.sagemaker.jobs.container import (
    DEFAULT_MAX_RUNTIME_S,
    JobFailedError,
    algorithm_error,
    command_of,
    log_stream,
)
from emulator.services.sagemaker.times import now

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DRIVER_INPUT = "entrypoint"  # runproc.sh of the SageMaker SDK; it contains absolute paths
MAX_EXIT_MESSAGE = 1024  # API reference, ExitMessage


class ProcessingJob(Job):
    """One processing job."""

    kind = "processing-job"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._stream = log_stream(self.name)
        record = self.record
        record.environment = self.spec.get("Environment")
        record.processing_resources = self.spec["ProcessingResources"]
        record.processing_end_time = None
        record.processing_job_status = "InProgress"

    def on_line(self, line: str) -> None:
        """Send the line to CloudWatch Logs."""
        self.log(LOG_GROUP, self._stream, line)

    def work(self) -> None:
        """Download the inputs, run the container, upload the outputs."""
        self._publish_state()
        cluster = self.spec["ProcessingResources"]["ClusterConfig"]
        image = self.spec["AppSpecification"].get("ImageUri", "")
        self.provision(image, cluster.get("VolumeKmsKeyId"), LOG_GROUP, self._stream)
        self._prepare()
        self.record.processing_start_time = now()
        stopping = self.spec.get("StoppingCondition") or {}
        max_runtime_s = stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
        command = command_of(self.spec["AppSpecification"])
        end = self.container.run(command, self._environment(), max_runtime_s)
        message = self.files.read_text("/opt/ml/output/message", MAX_EXIT_MESSAGE)
        self.record.exit_message = message or None
        if end.exit_code != 0 and end.stopped_by is None:
            reason = message or end.last_line or "See job logs for more information"
            raise JobFailedError(algorithm_error(reason, end.exit_code))
        self._upload_outputs()
        self._end("Completed" if end.stopped_by is None else "Stopped")

    def fail(self, reason: str) -> None:
        """End the job with status Failed."""
        self.record.failure_reason = reason[:MAX_FAILURE_REASON]
        self._end("Failed")

    def mark_stopping(self) -> None:
        """Set the job's status to Stopping."""
        self.record.processing_job_status = "Stopping"
        self.record.last_modified_time = now()

    def _prepare(self) -> None:
        self.files.folder("/opt/ml/output")
        for item in self.spec.get("ProcessingInputs") or []:
            source = item["S3Input"]
            self.download(source["S3Uri"], source["LocalPath"])
            if item["InputName"] == DRIVER_INPUT:
                self.files.reroot_files(source["LocalPath"])
        for output in self._outputs():
            self.files.folder(output["S3Output"]["LocalPath"])
        config = {
            "ProcessingJobArn": self.record.arn,
            **{key: self.spec[key] for key in sorted(self.spec) if key != "Tags"},
        }
        self.files.write_json("/opt/ml/config/processingjobconfig.json", config)
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
        self.files.write_json("/opt/ml/config/resourceconfig.json", hosts)

    def _environment(self) -> dict[str, str]:
        return {"PROCESSING_JOB_ARN": self.record.arn, **(self.spec.get("Environment") or {})}

    def _outputs(self) -> list[dict[str, Any]]:
        return (self.spec.get("ProcessingOutputConfig") or {}).get("Outputs", [])

    def _upload_outputs(self) -> None:
        key = (self.spec.get("ProcessingOutputConfig") or {}).get("KmsKeyId")
        for output in self._outputs():
            target = output["S3Output"]
            self.s3.upload_folder(self.files.path(target["LocalPath"]), target["S3Uri"], key)

    def _end(self, status: str) -> None:
        record = self.record
        record.processing_end_time = record.last_modified_time = now()
        record.processing_job_status = status
        self._publish_state()

    def _publish_state(self) -> None:
        detail = {**self.record.response_object, "Tags": tag_map(self.record.tags)}
        self.events.publish("SageMaker Processing Job State Change", detail, [self.record.arn])


class ProcessingJobs(Jobs):
    """Processing jobs of one region."""

    job_type = ProcessingJob
    name_field = "ProcessingJobName"
    noun = "Processing job"

    def records(self) -> dict[str, Any]:
        """moto's processing jobs."""
        return self.region.backend("sagemaker").processing_jobs

    def check(self, spec: dict[str, Any]) -> None:
        """Check cluster, entrypoint, inputs and outputs."""
        check_cluster(spec["ProcessingResources"]["ClusterConfig"])
        if not command_of(spec["AppSpecification"]):
            raise not_emulated("AppSpecification without ContainerEntrypoint (container images are not run)")
        for item in spec.get("ProcessingInputs") or []:
            name = f"input {item['InputName']}"
            source = item.get("S3Input")
            if source is None or "LocalPath" not in source:
                raise not_emulated(f"{name}: an input other than S3Input with a LocalPath")
            check_s3_input(name, source.get("S3DataType"), source.get("S3InputMode"))
            if source.get("S3CompressionType") not in (None, "None"):
                raise not_emulated(f"{name}: S3CompressionType {source['S3CompressionType']}")
        for output in (spec.get("ProcessingOutputConfig") or {}).get("Outputs", []):
            if "S3Output" not in output:
                raise not_emulated(f"output {output['OutputName']}: an output other than S3Output")
