"""What training and processing jobs share: a run on a thread, kept in moto's job, waited for, stopped."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from emulator.services.sagemaker.container import Container, JobFailedError
from emulator.services.sagemaker.site import Site, invalid, not_emulated
from emulator.services.sagemaker.storage import Storage, StorageError
from emulator.services.sagemaker.tree import ContainerPathError, ContainerTree
from emulator.wire import Request, Response, ServiceError

TERMINAL = ("Completed", "Failed", "Stopped")


class JobRun(ABC):
    """One run of one job; a subclass says what the run does.

    Attributes:
        record: moto's job; DescribeTrainingJob and the lists read it.
        spec: the request that made it.
    """

    kind: ClassVar[str]

    def __init__(self, site: Site, name: str, record: Any, spec: dict[str, Any]) -> None:
        self.site = site
        self.name = name
        self.record = record
        self.spec = spec
        self.storage = Storage(site.client("s3"))
        self.tree = ContainerTree(site.host.folder(self.kind, name))
        self.container = Container(site, self.tree, self.on_line)
        self.done = threading.Event()

    @abstractmethod
    def on_line(self, line: str) -> None:
        """A line that the container wrote."""

    @abstractmethod
    def work(self) -> None:
        """Runs the job to its end.

        Raises:
            JobFailedError, StorageError, ContainerPathError: it failed.
        """

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Ends the job as Failed."""

    @abstractmethod
    def request_stop(self) -> None:
        """Marks the job as Stopping."""

    def download(self, uri: str, container_path: str) -> None:
        """Copies the objects under a prefix to a folder of the container.

        Raises:
            JobFailedError: they can't be read.
        """
        try:
            self.storage.download_prefix(uri, self.tree.folder(container_path))
        except StorageError as error:
            raise JobFailedError(f"ClientError: Data download failed:{error}") from error

    def start(self) -> None:
        """Runs the job on a thread of its own."""
        self.site.background(f"{self.kind} {self.name}", self._run)

    def _run(self) -> None:
        try:
            self.work()
        except JobFailedError as failure:
            self.fail(str(failure))
        except (StorageError, ContainerPathError) as error:
            self.fail(f"ClientError: {error}")
        except Exception as error:
            self.site.report(f"{self.kind} {self.name}")
            self.fail(f"InternalServerError: the emulator: {type(error).__name__}: {error}")
        finally:
            self.tree.close()
            self.done.set()


class JobBook(ABC):
    """The jobs of one kind in one region; a subclass says which."""

    run_type: ClassVar[type[JobRun]]
    name_key: ClassVar[str]  # the request's field with the job's name
    noun: ClassVar[str]

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._runs: dict[str, JobRun] = {}

    @abstractmethod
    def records(self) -> dict[str, Any]:
        """moto's jobs by name."""

    @abstractmethod
    def check(self, spec: dict[str, Any]) -> None:
        """Refuses what can't be run here. Raises ServiceError."""

    def create(self, request: Request) -> Response:
        """moto keeps the job, a thread runs it."""
        spec = request.json
        self.check(spec)
        name = spec[self.name_key]
        with self._lock:
            if name in self.records():
                raise ServiceError(
                    "ResourceInUse",
                    f"{self.noun} names must be unique within an AWS account and region: {name}",
                )
            response = self.site.forward(request)
            if response.status == 200:
                run = self.run_type(self.site, name, self.records()[name], spec)
                self._runs[name] = run
                run.start()
        return response

    def stop(self, request: Request) -> None:
        """Stops a job that has not ended; one that has is left alone."""
        name = request.json[self.name_key]
        record = self.records().get(name)
        run = self._runs.get(name)
        if record is None or run is None:
            raise invalid(f"Requested resource not found: {self.noun} {name}")
        if not run.done.is_set():
            run.request_stop()
            self.site.background(f"stop {name}", run.container.stop)

    def wait(self, name: str) -> None:
        """Returns when the job has ended."""
        self._runs[name].done.wait()


def check_cluster(cluster: dict[str, Any]) -> None:
    """Refuses clusters of more than one instance."""
    if cluster.get("InstanceGroups"):
        raise not_emulated("a heterogeneous cluster (InstanceGroups)")
    if cluster.get("InstanceCount", 1) != 1:
        raise not_emulated("InstanceCount above 1: a job runs as one process on this machine; that")


def check_s3_type(where: str, data_type: str | None, mode: str | None) -> None:
    """Refuses data sources other than files under a prefix."""
    if data_type not in (None, "S3Prefix"):
        raise not_emulated(f"{where}: S3DataType {data_type}")
    if mode == "Pipe":
        raise not_emulated(f"{where}: input mode Pipe")
