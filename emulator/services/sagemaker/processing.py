"""Processing jobs: inputs in, the container, outputs out."""

from __future__ import annotations

from typing import Any

from emulator.services.sagemaker.container import (
    DEFAULT_MAX_RUNTIME_S,
    JobFailedError,
    algorithm_error,
    command_of,
    log_stream,
)
from emulator.services.sagemaker.jobs import JobBook, JobRun, check_cluster, check_s3_type
from emulator.services.sagemaker.site import MAX_FAILURE_REASON, jsonable, not_emulated, now, tag_map

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DRIVER_INPUT = "entrypoint"  # the SageMaker SDK's runproc.sh, with absolute paths in it
MAX_EXIT_MESSAGE = 1024  # API reference, ExitMessage


class ProcessingRun(JobRun):
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
        """To CloudWatch Logs."""
        self.site.log(LOG_GROUP, self._stream, line)

    def work(self) -> None:
        """Download, run, upload."""
        self._announce()
        self._prepare()
        self.record.processing_start_time = now()
        stopping = (self.spec.get("StoppingCondition") or {}).get(
            "MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S
        )
        end = self.container.run(command_of(self.spec["AppSpecification"]), self._environment(), stopping)
        message = self.tree.read_text("/opt/ml/output/message", MAX_EXIT_MESSAGE)
        self.record.exit_message = message or None
        if end.exit_code != 0 and end.stopped_by is None:
            said = message or end.last_line or "See job logs for more information"
            raise JobFailedError(algorithm_error(said, end.exit_code))
        self._upload()
        self._end("Completed" if end.stopped_by is None else "Stopped")

    def fail(self, reason: str) -> None:
        """Ends the job as Failed."""
        self.record.failure_reason = reason[:MAX_FAILURE_REASON]
        self._end("Failed")

    def request_stop(self) -> None:
        """Marks the job as Stopping."""
        self.record.processing_job_status = "Stopping"
        self.record.last_modified_time = now()

    def _prepare(self) -> None:
        self.tree.folder("/opt/ml/output")
        for item in self.spec.get("ProcessingInputs") or []:
            source = item["S3Input"]
            self.download(source["S3Uri"], source["LocalPath"])
            if item["InputName"] == DRIVER_INPUT:
                self.tree.reroot_files(source["LocalPath"])
        for output in self._outputs():
            self.tree.folder(output["S3Output"]["LocalPath"])
        config = {
            "ProcessingJobArn": self.record.arn,
            **{key: self.spec[key] for key in sorted(self.spec) if key != "Tags"},
        }
        self.tree.write_json("/opt/ml/config/processingjobconfig.json", config)
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
        self.tree.write_json("/opt/ml/config/resourceconfig.json", hosts)

    def _environment(self) -> dict[str, str]:
        return {"PROCESSING_JOB_ARN": self.record.arn, **(self.spec.get("Environment") or {})}

    def _outputs(self) -> list[dict[str, Any]]:
        return (self.spec.get("ProcessingOutputConfig") or {}).get("Outputs", [])

    def _upload(self) -> None:
        key = (self.spec.get("ProcessingOutputConfig") or {}).get("KmsKeyId")
        for output in self._outputs():
            target = output["S3Output"]
            self.storage.upload_folder(self.tree.path(target["LocalPath"]), target["S3Uri"], key)

    def _end(self, status: str) -> None:
        record = self.record
        record.processing_end_time = record.last_modified_time = now()
        record.processing_job_status = status
        self._announce()

    def _announce(self) -> None:
        detail = {**self.record.response_object, "Tags": tag_map(self.record.tags)}
        self.site.emit("SageMaker Processing Job State Change", jsonable(detail), [self.record.arn])


class ProcessingJobs(JobBook):
    """The processing jobs of one region."""

    run_type = ProcessingRun
    name_key = "ProcessingJobName"
    noun = "Processing job"

    def records(self) -> dict[str, Any]:
        """moto's processing jobs."""
        return self.site.backend.processing_jobs

    def check(self, spec: dict[str, Any]) -> None:
        """Refuses what can't be run here."""
        check_cluster(spec["ProcessingResources"]["ClusterConfig"])
        if not command_of(spec["AppSpecification"]):
            raise not_emulated(
                "AppSpecification without ContainerEntrypoint: no container image is run here; it"
            )
        for item in spec.get("ProcessingInputs") or []:
            where = f"input {item['InputName']}"
            source = item.get("S3Input")
            if source is None or "LocalPath" not in source:
                raise not_emulated(f"{where}: an input other than S3Input with a LocalPath")
            check_s3_type(where, source.get("S3DataType"), source.get("S3InputMode"))
            if source.get("S3CompressionType") not in (None, "None"):
                raise not_emulated(f"{where}: S3CompressionType {source['S3CompressionType']}")
        for output in (spec.get("ProcessingOutputConfig") or {}).get("Outputs", []):
            if "S3Output" not in output:
                raise not_emulated(f"output {output['OutputName']}: an output other than S3Output")
