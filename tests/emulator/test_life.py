"""Life of an emulator: its port, its folders, its providers, its end. Each test starts one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.app import Emulator
from emulator.provider import Provider
from emulator.region import Region
from emulator.wire import Request, ServiceError
from tests.emulator.support import make_bucket


class FailingProvider(Provider):
    """Fails in each way that an operation can."""

    def operations(self) -> dict[str, Any]:
        """Two operations of services that nothing else here uses."""
        return {"AWSEvents.DeauthorizeConnection": self._refuse, "AWSEvents.CreateConnection": self._break}

    def _refuse(self, request: Request) -> None:
        raise ServiceError("ConcurrentModificationException", f"not {request.json['Name']}")

    def _break(self, request: Request) -> None:
        raise KeyError(request.operation)


def test_a_port_in_use_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with Emulator(root=tmp_path, providers={}).start(port) as emulator:
            assert emulator.port != port
            assert emulator.moved
            assert emulator.client("s3").list_buckets()["Buckets"] == []
    with Emulator(root=tmp_path, providers={}).start(port) as emulator:
        assert (emulator.port, emulator.moved) == (port, False)


def test_a_process_has_one_emulator_and_the_next_one_is_empty(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        make_bucket(emulator, "first")
        with pytest.raises(RuntimeError, match="runs an emulator already"):
            Emulator(root=tmp_path, providers={}).start()
        assert len(emulator.client("s3").list_buckets()["Buckets"]) == 1
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        assert emulator.client("s3").list_buckets()["Buckets"] == []
        make_bucket(emulator, "first")


def test_work_goes_with_the_emulator_and_logs_stay(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        one, two = emulator.host.folder("builds", "a/b"), emulator.host.folder("builds", "a/b")
        assert one != two
        assert one.is_relative_to(tmp_path)
        Region(emulator.host, emulator.region).log("/shop/log", "2026/[1]x", "a line")
    assert not one.exists()
    assert (tmp_path / "logs" / "shop" / "log" / "2026_1_x.log").read_text() == "a line\n"


def test_children_end_with_the_emulator_not_only_with_its_process(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={}).start() as emulator:
        env = Region(emulator.host, emulator.region).child_env()
        child = emulator.host.processes.start(["sleep", "300"], cwd=tmp_path, env=env, on_line=print)
        assert child.running
    assert not child.running


def test_errors_speak_the_protocol_of_the_request(tmp_path: Path) -> None:
    with Emulator(root=tmp_path, providers={"failing": lambda _: FailingProvider()}).start() as emulator:
        events = emulator.client("events")
        with pytest.raises(events.exceptions.ConcurrentModificationException, match="not x"):
            events.deauthorize_connection(Name="x")
        with pytest.raises(ClientError, match=r"InternalFailure.*KeyError: 'CreateConnection'"):
            events.create_connection(Name="x", AuthorizationType="API_KEY", AuthParameters={})
        with pytest.raises(ClientError, match=r"NotImplemented.*the emulator: sagemaker UpdateContext"):
            emulator.client("sagemaker").update_context(ContextName="x")
