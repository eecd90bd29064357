"""The emulator as SageMaker's parts see it: one region, SageMaker's names, times and errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emulator.host import Host
from emulator.provider import EmitEvent, Forward
from emulator.region import Region
from emulator.wire import ServiceError

EVENT_SOURCE = "aws.sagemaker"
MAX_FAILURE_REASON = 1024  # API reference, FailureReason
logger = logging.getLogger("emulator")


def now() -> datetime:
    """This moment as moto keeps moments: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def epoch_s(moment: datetime) -> float:
    """Seconds since 1970 of one of moto's moments, as AWS JSON carries them."""
    return moment.replace(tzinfo=UTC).timestamp()


def iso(moment: datetime) -> str:
    """``2026-11-23T02:00:00Z``, as SageMaker's events write most moments."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def invalid(message: str) -> ServiceError:
    """What SageMaker answers to a request that it can't accept."""
    return ServiceError("ValidationException", message)


def not_emulated(what: str) -> ServiceError:
    """What the emulator answers where it would otherwise have to pretend."""
    return ServiceError("ValidationException", f"{what} is not emulated by the emulator")


def jsonable(value: Any) -> Any:
    """A description for an event's detail: moments as milliseconds since 1970, nothing that is None."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return value


def tag_map(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as events carry them."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


@dataclass(frozen=True)
class Site:
    """One region of the emulator, with moto's answers and events."""

    aws: Region
    forward: Forward
    send_event: EmitEvent

    @property
    def host(self) -> Host:
        """Child processes and folders."""
        return self.aws.host

    @property
    def region(self) -> str:
        """The region's name."""
        return self.aws.name

    def client(self, service: str) -> Any:
        """A client of the emulator in this region."""
        return self.aws.client(service)

    @property
    def backend(self) -> Any:
        """moto's SageMaker of this region: where every resource is kept."""
        return self.aws.backend("sagemaker")

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a SageMaker resource."""
        return self.aws.arn("sagemaker", f"{kind}/{name}")

    def emit(self, detail_type: str, detail: Mapping[str, Any], resources: Iterable[str]) -> None:
        """An event of SageMaker on the default bus; one that can't be delivered fails nothing else."""
        if self.host.closing:
            return
        try:
            self.send_event(EVENT_SOURCE, detail_type, dict(jsonable(detail)), resources, self.region)
        except Exception:
            self.report(detail_type)

    def log(self, group: str, stream: str, line: str) -> None:
        """One line in CloudWatch Logs."""
        self.aws.log(group, stream, line)

    def child_env(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The environment of a container.

        pip gets no index: requirements that this environment satisfies install, others fail at once, and no
        job changes the environment that it shares with the emulator.
        """
        pip = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return self.aws.child_env(**{**pip, **extra})

    def background(self, name: str, work: Callable[[], None]) -> None:
        """Runs work on a thread of its own; what it raises is reported."""

        def guarded() -> None:
            try:
                work()
            except Exception:
                self.report(name)

        threading.Thread(target=guarded, name=name, daemon=True).start()

    def report(self, what: str) -> None:
        """Log the exception that is being handled; nothing once the emulator is closing."""
        if not self.host.closing:
            logger.exception("%s", what)
