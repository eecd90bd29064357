"""Base classes of training and processing jobs."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from emulator.authorization.access import AccessDeniedError
from emulator.provider import Forward
from emulator.region import Region
from emulator.services.sagemaker.background import log_exception, run_in_background
from emulator.services.sagemaker.container_files import ContainerFiles, ContainerPathError
from emulator.services.sagemaker.errors import invalid, not_emulated
from emulator.services.sagemaker.events import EventPublisher
from emulator.services.sagemaker.execution_role import SESSION, ExecutionRole, check_role
from emulator.services.sagemaker.jobs.container import JobContainer, JobFailedError
from emulator.services.sagemaker.s3_files import S3Files, S3FilesError
from emulator.wire import Request, Response, ServiceError

TERMINAL_STATUSES = ("Completed", "Failed", "Stopped")


class Job(ABC):
    """One job: runs on a background thread and stores its state in moto's record.

    Attributes:
        record: moto's job; DescribeTrainingJob, DescribeProcessingJob and the lists read it.
        spec: the request that created the job.
    """

    kind: ClassVar[str]

    def __init__(self, events: EventPublisher, name: str, record: Any, spec: dict[str, Any]) -> None:
        self.events = events
        self.region = events.region
        self.name = name
        self.record = record
        self.spec = spec
        self.role = ExecutionRole(self.region, spec["RoleArn"])
        self.s3 = S3Files(self.region.role_client("s3", self.role.arn, SESSION))
        host = self.region.host
        self.files = ContainerFiles(host.folder(self.kind, name), mounted=host.has_views)
        self.container = JobContainer(self.region, self.files, self.role.arn, self.on_line)
        self.may_log = False
        self.done = threading.Event()

    @abstractmethod
    def on_line(self, line: str) -> None:
        """Process one line of the container's output."""

    @abstractmethod
    def work(self) -> None:
        """Run the job until it ends.

        Raises:
            JobFailedError, S3FilesError, ContainerPathError: the job failed.
        """

    @abstractmethod
    def fail(self, reason: str) -> None:
        """End the job with status Failed."""

    @abstractmethod
    def mark_stopping(self) -> None:
        """Set the job's status to Stopping."""

    def provision(self, image: str, volume_key: str | None, log_group: str, stream: str) -> None:
        """Authorise what SageMaker does with the execution role before it runs the container.

        Raises:
            JobFailedError: the role does not allow to pull the image, or to use the volumes' key.
        """
        try:
            self.role.attach_volume(volume_key)
            self.role.pull_image(image)
        except AccessDeniedError as error:
            raise JobFailedError(f"ClientError: {error}") from error
        self.may_log = self.role.may_log(log_group, stream)
        self.role.publish_metrics(log_group)

    def log(self, group: str, stream: str, line: str) -> None:
        """Store a line of the container in CloudWatch Logs, if the role allows it."""
        if self.may_log:
            self.region.log(group, stream, line)
        else:
            self.region.host.logs.write_line(group, stream, line)

    def download(self, uri: str, container_path: str) -> None:
        """Copy the objects under a prefix to a folder of the container.

        Raises:
            JobFailedError: the objects cannot be read.
        """
        try:
            self.s3.download_prefix(uri, self.files.folder(container_path))
        except S3FilesError as error:
            raise JobFailedError(f"ClientError: Data download failed:{error}") from error

    def start(self) -> None:
        """Run the job in the background."""
        run_in_background(self.region.host, f"{self.kind} {self.name}", self._run)

    def _run(self) -> None:
        try:
            self.work()
        except JobFailedError as failure:
            self.fail(str(failure))
        except (S3FilesError, ContainerPathError) as error:
            self.fail(f"ClientError: {error}")
        except Exception as error:
            log_exception(self.region.host, f"{self.kind} {self.name}")
            self.fail(f"InternalServerError: the emulator: {type(error).__name__}: {error}")
        finally:
            self.files.close()
            self.done.set()


class Jobs(ABC):
    """Jobs of one kind in one region."""

    job_type: ClassVar[type[Job]]
    name_field: ClassVar[str]  # of the request
    noun: ClassVar[str]  # in error messages

    def __init__(self, region: Region, forward: Forward, events: EventPublisher) -> None:
        self.region = region
        self._forward = forward
        self._events = events
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    @abstractmethod
    def records(self) -> dict[str, Any]:
        """moto's jobs by name."""

    @abstractmethod
    def check(self, spec: dict[str, Any]) -> None:
        """Check that the emulator can run a request.

        Raises:
            ServiceError: the request uses a feature that is not emulated.
        """

    def create(self, request: Request) -> Response:
        """CreateTrainingJob, CreateProcessingJob: moto stores the job, a thread runs it."""
        spec = request.json
        self.check(spec)
        arn = self.region.arn("sagemaker", f"{self.job_type.kind}/{spec[self.name_field]}")
        check_role(self.region, spec["RoleArn"], arn)
        name = spec[self.name_field]
        with self._lock:
            if name in self.records():
                raise ServiceError(
                    "ResourceInUse",
                    f"{self.noun} names must be unique within an AWS account and region: {name}",
                )
            response = self._forward(request)
            if response.status == 200:
                job = self.job_type(self._events, name, self.records()[name], spec)
                self._jobs[name] = job
                job.start()
        return response

    def stop(self, request: Request) -> None:
        """StopTrainingJob, StopProcessingJob; no effect on a job that has ended."""
        name = request.json[self.name_field]
        record = self.records().get(name)
        job = self._jobs.get(name)
        if record is None or job is None:
            raise invalid(f"Requested resource not found: {self.noun} {name}")
        if not job.done.is_set():
            job.mark_stopping()
            run_in_background(self.region.host, f"stop {name}", job.container.stop)

    def wait(self, name: str) -> None:
        """Wait until the job has ended."""
        self._jobs[name].done.wait()


def check_cluster(cluster: dict[str, Any]) -> None:
    """Check that a job runs on one instance.

    Raises:
        ServiceError: the request has several instances or instance groups.
    """
    if cluster.get("InstanceGroups"):
        raise not_emulated("a heterogeneous cluster (InstanceGroups)")
    if cluster.get("InstanceCount", 1) != 1:
        raise not_emulated("InstanceCount above 1 (a job runs as one process)")


def check_s3_input(name: str, data_type: str | None, mode: str | None) -> None:
    """Check that a job's input is files under an S3 prefix.

    Args:
        name: name of the channel or input, for the error message.

    Raises:
        ServiceError: the input has another data type or mode.
    """
    if data_type not in (None, "S3Prefix"):
        raise not_emulated(f"{name}: S3DataType {data_type}")
    if mode == "Pipe":
        raise not_emulated(f"{name}: input mode Pipe")
